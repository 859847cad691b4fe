import { readFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { diskmorph, diskmorphJson, SAMPLE } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

beforeAll(async () => {
  await scratch.qemuImg('convert', '-f', 'qcow2', '-O', 'raw', SAMPLE, 'same.raw');
  await scratch.qemuImg('convert', '-f', 'qcow2', '-O', 'raw', SAMPLE, 'other.raw');
  await scratch.qemuImg('create', '-q', '-f', 'qcow2', '-b', SAMPLE, '-F', 'qcow2', 'overlay.qcow2');
  const changed = await readFile(scratch.path('other.raw'));
  changed[5_000_000] = 1;
  await writeFile(scratch.path('other.raw'), changed);
  await writeFile(scratch.path('cut.qcow2'), (await readFile(SAMPLE)).subarray(0, 200_000));
  await writeFile(scratch.path('packed.gz'), Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(1020, 7)]));
});

describe('inspect', () => {
  test.each([
    { name: 'a good image is safe', args: [SAMPLE], code: 0, says: [/^SAFE/, /Linux root/] },
    {
      name: 'a container that cannot be opened is unsafe',
      args: ['packed.gz'],
      code: 2,
      says: [/^UNSAFE/, /unreadable-container/],
    },
    {
      name: 'a container as it is gives a warning',
      args: ['--container', 'packed.gz'],
      code: 3,
      says: [/^WARNING/, /wrapped/],
    },
    { name: 'a truncated file is unsafe', args: ['cut.qcow2'], code: 2, says: [/^UNSAFE/, /truncated +at byte/] },
    { name: 'a backing file is unsafe', args: ['overlay.qcow2'], code: 2, says: [/names backing file +\//] },
    {
      name: 'a false declaration is unsafe',
      args: ['--declared', 'vmdk', SAMPLE],
      code: 2,
      says: [/declared as vmdk/],
    },
  ])('$name', async ({ args, code, says }) => {
    const run = await diskmorph('inspect', ...args.map(inScratch));
    expect(run).toMatchObject({ code, err: '' });
    for (const text of says) expect(run.out).toMatch(text);
  });

  test('JSON carries the verdict', async () => {
    const verdict = await diskmorphJson('inspect', scratch.path('overlay.qcow2'));
    expect(verdict).toMatchObject({
      verdict: 'unsafe',
      format: 'qcow2',
      findings: [{ code: 'backing-file', offset: 8 }],
    });
  });

  test('--quiet answers by the exit code alone', async () => {
    expect(await diskmorph('inspect', '-q', scratch.path('cut.qcow2'))).toMatchObject({ code: 2, out: '', err: '' });
  });
});

describe('info', () => {
  test('shows format, sizes and the words of the format', async () => {
    const run = await diskmorph('info', SAMPLE);
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/format +qcow2, detected\n +virtual size +64 MiB \(67108864 bytes\)/);
    expect(run.out).toMatch(/compat +1\.1/);
  });

  test('a backing file is named, not opened', async () => {
    const info = await diskmorphJson('info', scratch.path('overlay.qcow2'));
    expect(info).toMatchObject({ format: 'qcow2', backing: { kind: 'backing', name: SAMPLE } });
  });
});

describe('map', () => {
  test('covers the whole disk without gaps', async () => {
    const { code, out } = await diskmorph('map', '--json', SAMPLE);
    const extents: { offset: number; length: number; state: string }[] = JSON.parse(out);
    expect(code).toBe(0);
    expect(extents.reduce((end, extent) => (extent.offset === end ? end + extent.length : Number.NaN), 0)).toBe(
      67108864,
    );
    expect(new Set(extents.map((extent) => extent.state))).toEqual(new Set(['data', 'absent']));
  });

  test('the table ends with the sums', async () => {
    const { out } = await diskmorph('map', SAMPLE);
    expect(out.trimEnd().split('\n').at(-1)).toMatch(/of data, .* of zeros, .* absent$/);
  });
});

describe('compare', () => {
  test.each([
    { name: 'the same disk in another format', other: 'same.raw', code: 0, says: 'The disks are the same.' },
    { name: 'a disk that differs', other: 'other.raw', code: 1, says: 'first at byte 5000000 (0x4c4b40)' },
    { name: 'a file that is not there', other: 'none.raw', code: 16, says: '' },
  ])('$name', async ({ other, code, says }) => {
    const run = await diskmorph('compare', SAMPLE, scratch.path(other));
    expect(run.code).toBe(code);
    expect(run.out).toContain(says);
  });

  test('a longer disk is the same but for its size, unless --strict', async () => {
    await scratch.qemuImg('convert', '-f', 'qcow2', '-O', 'raw', SAMPLE, 'longer.raw');
    await truncate(scratch.path('longer.raw'), 70_000_000);
    expect((await diskmorph('compare', SAMPLE, scratch.path('longer.raw'))).code).toBe(0);
    const strict = await diskmorph('compare', '--strict', '--json', SAMPLE, scratch.path('longer.raw'));
    expect(strict.code).toBe(1);
    expect(JSON.parse(strict.out)).toMatchObject({
      equal: false,
      firstDifference: null,
      sizes: [67108864, 70_000_000],
    });
  });
});

describe('check', () => {
  test('a good image is clean', async () => {
    const run = await diskmorph('check', SAMPLE);
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/^CLEAN/);
  });

  test('a cut image is corrupt', async () => {
    const run = await diskmorph('check', '--json', scratch.path('cut.qcow2'));
    expect(run.code).toBe(2);
    expect(JSON.parse(run.out).corruptions).toBeGreaterThan(0);
  });

  test('space that nothing uses is a leak', async () => {
    await scratch.qemuImg('create', '-q', '-f', 'qcow2', 'leak.qcow2', '1M');
    const image = await readFile(scratch.path('leak.qcow2'));
    const refcountBlock = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(48))));
    const unused = Math.ceil(image.length / 65536);
    image.writeUInt16BE(1, refcountBlock + 2 * unused);
    await writeFile(
      scratch.path('leak.qcow2'),
      Buffer.concat([image, Buffer.alloc((unused + 1) * 65536 - image.length)]),
    );
    const run = await diskmorph('check', scratch.path('leak.qcow2'));
    expect(run).toMatchObject({ code: 3, err: '' });
    expect(run.out).toMatch(/^LEAKS/);
  });

  test('a format without tables has nothing to check', async () => {
    const run = await diskmorph('check', scratch.path('same.raw'));
    expect(run).toMatchObject({ code: 11, out: '' });
  });
});

describe('digest, measure, formats', () => {
  test('the content id does not depend on the format', async () => {
    const ids = await Promise.all([diskmorph('digest', SAMPLE), diskmorph('digest', scratch.path('same.raw'))]);
    const [first, second] = ids.map((run) => run.out.split('  ')[0]);
    expect(first).toMatch(/^dm1-sha256:[0-9a-f]{64}$/);
    expect(second).toBe(first);
  });

  test.each([{ args: [SAMPLE] }, { args: ['--size', '10G'] }])('measures as qemu-img does: $args', async ({ args }) => {
    const ours = await diskmorphJson('measure', '-O', 'qcow2', ...args);
    const theirs = JSON.parse(await scratch.qemuImg('measure', '--output=json', '-O', 'qcow2', ...args));
    expect(ours['required']).toBe(theirs.required);
    expect(ours['fullyAllocated']).toBe(theirs['fully-allocated']);
  });

  test('formats says what can be done with each, and explains options', async () => {
    const { out } = await diskmorph('formats', '--json');
    const listed: { name: string; reads: boolean; writes: boolean }[] = JSON.parse(out);
    for (const name of ['raw', 'qcow2', 'vmdk']) {
      expect(listed.find((format) => format.name === name)).toMatchObject({ reads: true, writes: true });
    }
    expect((await diskmorph('formats', 'qcow2')).out).toContain('cluster_size=512 to 2M  default 64k');
  });
});

function inScratch(argument: string): string {
  return /\.(gz|qcow2)$/.test(argument) && !argument.startsWith('/') ? scratch.path(argument) : argument;
}
