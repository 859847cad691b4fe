/** `convert -B`, `-n` and `-S` against QEMU's own program. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { ours, QEMU_IMG_BIN, run, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;

async function io(file: string, format: string, ...commands: readonly string[]): Promise<void> {
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  await promisify(execFile)(qemuIo, ['-f', format, ...commands.flatMap((command) => ['-c', command]), file], {
    cwd: folder,
  });
}

beforeAll(async () => {
  folder = scratch.path('.');
  await theirs(folder, 'create', '-q', '-f', 'raw', 'source.raw', '10M');
  await io('source.raw', 'raw', 'write -P 1 0 1M', 'write -P 2 5M 64k', 'write -P 3 9000k 4k');
  await theirs(folder, 'create', '-q', '-f', 'qcow2', 'base.qcow2', '12M');
  await io('base.qcow2', 'qcow2', 'write -P 1 0 2M', 'write -P 2 5M 64k', 'write -P 5 11M 64k');
  await theirs(folder, 'convert', '-O', 'vmdk', 'base.qcow2', 'base.vmdk');
});

const clean = { code: 0, out: '', err: '' };

async function expectEqual(target: string, format: string): Promise<void> {
  const compared = await theirs(folder, 'compare', '-f', 'raw', '-F', format, 'source.raw', target);
  expect({ target, ...compared }).toMatchObject({ target, code: 0 });
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, target)).code);
}

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await theirs(folder, ...args, '--output=json')).out) as Record<string, unknown>;
}

test.each([
  ['-c'],
  [],
  ['-c', '-o', 'compression_type=zstd,cluster_size=4k'],
  ['-o', 'compat=0.10'],
  ['-c', '-o', 'compat=0.10'],
  ['-o', 'extended_l2=on'],
  ['-c', '-W', '-m', '4'],
  ['-o', 'preallocation=off', '-S', '0'],
])('an overlay made with %s %s %s is clean, equal and smaller than the whole', async (...options) => {
  const given = options.filter((option) => option !== undefined);
  const args = ['-O', 'qcow2', '-B', 'base.qcow2', '-F', 'qcow2', ...given];
  expect(await ours(folder, 'convert', ...args, 'source.raw', 'overlay.qcow2')).toEqual(clean);
  await expectEqual('overlay.qcow2', 'qcow2');
  const info = await json('info', 'overlay.qcow2');
  expect(info).toMatchObject({ 'backing-filename': 'base.qcow2', 'backing-filename-format': 'qcow2' });
  const check = await json('check', 'overlay.qcow2');
  expect(Number(check['compressed-clusters'] ?? 0) > 0).toBe(given.includes('-c'));
  expect(Number(check['allocated-clusters'])).toBeLessThan(24);
});

test('an overlay names its base from where it lies, whatever the working directory', async () => {
  await mkdir(scratch.path('deep'));
  const args = ['-O', 'qcow2', '-c', '-o', 'backing_file=../base.qcow2,backing_fmt=qcow2'];
  expect(await ours(folder, 'convert', ...args, 'source.raw', 'deep/overlay.qcow2')).toEqual(clean);
  await expectEqual('deep/overlay.qcow2', 'qcow2');
});

test('an overlay is read back over its base when that is asked for', async () => {
  const args = ['convert', '-O', 'qcow2', '-c', '-B', 'base.qcow2', '-F', 'qcow2', 'source.raw', 'verified.qcow2'];
  expect(await run(QEMU_IMG_BIN, args, folder, { DISKMORPH_VERIFY: '1' })).toEqual(clean);
  await expectEqual('verified.qcow2', 'qcow2');
});

test('a VMDK overlay', async () => {
  const args = ['-O', 'vmdk', '-B', 'base.vmdk', '-F', 'vmdk'];
  expect(await ours(folder, 'convert', ...args, 'source.raw', 'overlay.vmdk')).toEqual(clean);
  await expectEqual('overlay.vmdk', 'vmdk');
});

test.each([
  ['qcow2', 'base.qcow2', 'preallocation=metadata,extended_l2=on'],
  ['qcow2', 'base.qcow2', 'compat=0.10'],
  ['qcow2', 'base.qcow2', 'cluster_size=512'],
  ['vmdk', 'base.vmdk', 'compat6=off'],
])('a new %s image on %s with %s shows it', async (format, base, options) => {
  const args = ['create', '-q', '-f', format, '-b', base, '-F', format, '-o', options];
  expect(await ours(folder, ...args, `new.${format}`)).toEqual(clean);
  const compared = await theirs(folder, 'compare', '-f', format, '-F', format, base, `new.${format}`);
  expect(compared.out).toBe('Images are identical.\n');
  expect((await theirs(folder, 'check', '-f', format, `new.${format}`)).code).toBe(0);
});

/** What the program prints of an image, but for what must change with its content and for what the file system says. */
async function kept(target: string, format: string): Promise<string> {
  const { out } = await theirs(folder, 'info', '-f', format, target);
  return out.replaceAll(/^(?:disk size| +cid): .*$/gm, '');
}

test.each([
  ['raw', '20M', 'nocow=off'],
  ['qcow2', '20M', 'cluster_size=4k'],
  ['vmdk', '10M', 'adapter_type=lsilogic,hwversion=6'],
  ['vmdk', '20M', 'zeroed_grain=on'],
  ['vmdk', '10M', 'subformat=monolithicFlat'],
  ['vmdk', '20M', 'subformat=twoGbMaxExtentSparse'],
  ['vmdk', '10M', 'subformat=streamOptimized'],
  ['vpc', '10M', 'subformat=dynamic'],
  ['vpc', '20M', 'force_size=on'],
  ['vpc', '20M', 'subformat=fixed,force_size=on'],
  ['vhdx', '10M', 'block_size=1M,log_size=2M'],
  ['vhdx', '20M', 'subformat=fixed'],
  ['vdi', '10M', 'static=off'],
  ['vdi', '20M', 'static=on'],
])('convert -n into %s of %s with %s leaves the same image as theirs', async (format, size, options) => {
  for (const name of [`mine.${format}`, `their.${format}`]) {
    await theirs(folder, 'create', '-q', '-f', format, '-o', options, name, size);
    if (!options.includes('stream')) await io(name, format, `write -P 7 0 ${size}`);
  }
  const before = await kept(`mine.${format}`, format);
  const args = ['convert', '-n', '-f', 'raw', '-O', format, 'source.raw'];
  expect(await ours(folder, ...args, `mine.${format}`)).toEqual(clean);
  if (!options.includes('stream')) await theirs(folder, ...args, `their.${format}`);
  else await theirs(folder, 'convert', '-f', 'raw', '-O', format, '-o', options, 'source.raw', `their.${format}`);
  expect(await kept(`mine.${format}`, format)).toBe(before);
  const compared = await theirs(folder, 'compare', '-f', format, '-F', format, `mine.${format}`, `their.${format}`);
  expect(compared).toMatchObject({ code: 0, out: 'Images are identical.\n' });
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, `mine.${format}`)).code);
});

test.each([
  ['convert', '-n', '-O', 'vdi', 'source.raw', 'nope'],
  ['convert', '-n', '-O', 'vpc', 'source.raw', 'small.vmdk'],
  ['convert', '-n', '-O', 'vmdk', 'base.vmdk', 'small.vmdk'],
  ['convert', '-n', '-O', 'vpc', 'base.vmdk', 'small.vpc'],
  ['convert', '-n', '-c', '-O', 'vpc', 'source.raw', 'small.vpc'],
  ['convert', '-n', '-o', 'static=on', '-O', 'vdi', 'source.raw', 'small.vmdk'],
])('ours fails as theirs: %s %s %s %s %s %s %s', async (...given) => {
  const args = given.filter((part) => part !== undefined);
  await theirs(folder, 'create', '-q', '-f', 'vmdk', 'small.vmdk', '1M');
  await theirs(folder, 'create', '-q', '-f', 'vpc', 'small.vpc', '1M');
  const before = await readdir(folder);
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
  expect(await readdir(folder)).toEqual(before);
});

test('a VMDK with a part of another name is not made anew', async () => {
  await theirs(folder, 'create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'renamed.vmdk', '10M');
  await promisify(execFile)('sh', [
    '-c',
    `cd ${folder} && mv renamed-flat.vmdk other-flat.vmdk && sed -i s/renamed-flat/other-flat/ renamed.vmdk`,
  ]);
  const failed = await ours(folder, 'convert', '-n', '-f', 'raw', '-O', 'vmdk', 'source.raw', 'renamed.vmdk');
  expect(failed).toMatchObject({ code: 1, err: expect.stringContaining("part 'other-flat.vmdk'") });
});

async function makePattern(): Promise<void> {
  await theirs(folder, 'create', '-q', '-f', 'raw', 'pattern.raw', '16M');
  const zeros = ['4k 1k', '8k 4k', '20992 4k', '64k 64k', '1M 1M', '4100k 2M', '8M 4M', '12583424 3584', '14M 2M'];
  await io('pattern.raw', 'raw', 'write -P 1 0 16M', ...zeros.map((range) => `write -P 0 ${range}`));
}

test.each(['512', '1536', '4k', '64k', '1M', '2M', '4M', '16M', '0'])(
  'convert -S %s leaves out the same zeros',
  async (least) => {
    await makePattern();
    for (const options of ['cluster_size=512', 'cluster_size=64k']) {
      const args = ['convert', '-f', 'raw', '-S', least, '-O', 'qcow2', '-o', options, 'pattern.raw'];
      expect(await ours(folder, ...args, 'mine.qcow2')).toEqual(clean);
      await theirs(folder, ...args, 'their.qcow2');
      const states = async (name: string): Promise<unknown> =>
        JSON.parse((await theirs(folder, 'map', '--output=json', name)).out.replaceAll(/, "offset": \d+/g, ''));
      expect(merged(await states('mine.qcow2'))).toEqual(merged(await states('their.qcow2')));
      expect((await theirs(folder, 'compare', '-F', 'raw', 'mine.qcow2', 'pattern.raw')).code).toBe(0);
    }
  },
);

interface Mapped {
  readonly start: number;
  readonly length: number;
  readonly data: boolean;
}

/** Neighbours that are alike as one: where they lie in the file is not compared. */
function merged(map: unknown): readonly (readonly [number, number, boolean])[] {
  const found: [number, number, boolean][] = [];
  for (const { start, length, data } of map as readonly Mapped[]) {
    const last = found.at(-1);
    if (last?.[2] === data) last[1] += length;
    else found.push([start, length, data]);
  }
  return found;
}

test.each([
  ['raw', ''],
  ['qcow2', '-c'],
  ['vmdk', ''],
  ['vpc', '-oforce_size'],
  ['vhdx', ''],
  ['vdi', ''],
])('convert -S 0 into %s %s gives every byte its space', async (format, option) => {
  const options = option === '' ? [] : [option];
  const args = ['convert', '-f', 'raw', '-S', '0', '-O', format, ...options, 'source.raw', `whole.${format}`];
  expect(await ours(folder, ...args)).toEqual(clean);
  await expectEqual(`whole.${format}`, format);
  if (option === '-c') {
    expect(await json('check', `whole.${format}`)).toMatchObject({ 'allocated-clusters': 160 });
  } else {
    const { blocks } = await stat(scratch.path(`whole.${format}`));
    expect(blocks * 512).toBeGreaterThanOrEqual(10 * 2 ** 20);
  }
});

test.each(['0', '4k'])('convert -n -S %s into a raw file', async (least) => {
  await theirs(folder, 'create', '-q', '-f', 'raw', 'written.raw', '10M');
  const args = ['convert', '-n', '-f', 'raw', '-O', 'raw', '-S', least, 'source.raw', 'written.raw'];
  expect(await ours(folder, ...args)).toEqual(clean);
  await expectEqual('written.raw', 'raw');
  const { blocks } = await stat(scratch.path('written.raw'));
  expect(blocks * 512 >= 10 * 2 ** 20).toBe(least === '0');
});

test.each(['convert', 'create'])('%s keeps the guest bytes in a data file', async (command) => {
  const options = ['-o', 'data_file=bytes.raw,data_file_raw=on'];
  const args =
    command === 'convert'
      ? ['convert', '-f', 'raw', '-O', 'qcow2', ...options, 'source.raw', 'external.qcow2']
      : ['create', '-q', '-f', 'qcow2', ...options, 'external.qcow2', '10M'];
  expect(await ours(folder, ...args)).toEqual(clean);
  expect((await theirs(folder, 'check', 'external.qcow2')).code).toBe(0);
  const same = command === 'convert' ? 'source.raw' : 'nothing.raw';
  await theirs(folder, 'create', '-q', 'nothing.raw', '10M');
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', 'qcow2', same, 'external.qcow2')).code).toBe(0);
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', 'raw', same, 'bytes.raw')).code).toBe(0);
});

test('a data file that is not beside its image is refused by name', async () => {
  const args = ['convert', '-f', 'raw', '-O', 'qcow2', '-o', 'data_file=/elsewhere/bytes.raw'];
  const failed = await ours(folder, ...args, 'source.raw', 'external.qcow2');
  expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('/elsewhere/bytes.raw') });
});
