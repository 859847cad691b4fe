import { randomFillSync } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { packedBy } from '../../disk-image/test/packed.ts';
import { tarOf } from '../../disk-image/test/tar-archives.ts';
import type { Finished } from './run-diskmorph.ts';
import { SAMPLE, startDiskmorph } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
const NOISE_BYTES = 96 * 2 ** 20;

beforeAll(async () => {
  await mkdir(scratch.path('unpacked-here'));
  const qcow2 = await readFile(SAMPLE);
  const write = (name: string, content: Uint8Array): Promise<void> => writeFile(scratch.path(name), content);
  await write('sample.qcow2.gz', await packedBy('gzip', ['-c'], qcow2));
  const archive = tarOf([{ name: 'sample.qcow2', content: qcow2 }]);
  await write('sample.tar', archive);
  await write('sample.tar.xz', await packedBy('xz', ['-c'], archive));
  const two = [
    { name: 'a.qcow2', content: qcow2 },
    { name: 'b.raw', content: new Uint8Array(2 ** 20).fill(7) },
  ];
  await write('two.tar.gz', await packedBy('gzip', ['-c'], tarOf(two)));
  await write('zeros.zst', await packedBy('zstd', ['-19', '-c'], new Uint8Array(300 * 2 ** 20)));
  await write('cut.gz', (await packedBy('gzip', ['-c'], qcow2)).subarray(0, 5000));
});

/** Runs the program; what it unpacks, it must unpack where it was told, and take away. */
async function look(command: string, ...args: readonly string[]): Promise<Finished> {
  const env = { TMPDIR: scratch.path('unpacked-here') };
  const run = await startDiskmorph([command, ...args], { env }).finished;
  expect(await readdir(env.TMPDIR)).toEqual([]);
  return run;
}

async function lookJson(command: string, ...args: readonly string[]): Promise<unknown> {
  const run = await look(command, ...args, '--json');
  return JSON.parse(run.out);
}

const PACKED = [
  { file: 'sample.qcow2.gz', packed: { wrappers: ['gz'] } },
  { file: 'sample.tar', packed: { wrappers: ['tar'], name: 'sample.qcow2' } },
  { file: 'sample.tar.xz', packed: { wrappers: ['tar', 'xz'], name: 'sample.qcow2' } },
] as const;

describe.each(PACKED)('of the image in $file', ({ file, packed }) => {
  const from = { file: '', format: 'qcow2', packed };

  test('inspect gives the verdict, and says what it is packed in', async () => {
    const { size } = await stat(scratch.path(file));
    const plain = (await lookJson('inspect', SAMPLE)) as Record<string, unknown>;
    expect(await lookJson('inspect', scratch.path(file))).toEqual({
      ...plain,
      file: scratch.path(file),
      packed: { ...packed, fileSize: size },
      findings: [{ code: 'wrapped', severity: 'info', message: expect.stringContaining(packed.wrappers.join(' in ')) }],
    });
    const text = await look('inspect', scratch.path(file));
    expect(text).toMatchObject({ code: 0, err: '' });
    expect(text.out).toContain(packed.wrappers.join(' in '));
  });

  test.each([
    { command: 'info', options: [] },
    { command: 'digest', options: [] },
    { command: 'check', options: [] },
  ])('$command says the same as of the image itself', async ({ command, options }) => {
    const plain = (await lookJson(command, SAMPLE, ...options)) as Record<string, unknown>;
    const { allocatedSize: _allocated, ...same } = plain;
    const inside = { ...packed, path: scratch.path(file) };
    expect(await lookJson(command, scratch.path(file), ...options)).toEqual({
      ...same,
      ...from,
      file: scratch.path(file),
      packed: inside,
    });
  });

  test.each([
    { command: 'map', options: [] },
    { command: 'measure', options: ['-O', 'vmdk'] },
  ])('$command says the same as of the image itself', async ({ command, options }) => {
    expect(await lookJson(command, scratch.path(file), ...options)).toEqual(
      await lookJson(command, SAMPLE, ...options),
    );
  });

  test('compare finds the same disk, on either side', async () => {
    expect(await look('compare', scratch.path(file), SAMPLE)).toMatchObject({ code: 0 });
    expect(await look('compare', SAMPLE, scratch.path(file))).toMatchObject({ code: 0 });
  });

  test('lint judges container and image together', async () => {
    const lint = await look('lint', '--for', 'virtualbox', scratch.path(file));
    expect(lint.code).toBe(2);
    expect(lint.out).toMatch(/unpacked[^]*virtualbox-format/);
  });
});

test('of several disks one is chosen, for each side of a comparison its own', async () => {
  const two = scratch.path('two.tar.gz');
  expect(await look('digest', two)).toMatchObject({ code: 11, err: expect.stringContaining('"a.qcow2", "b.raw"') });
  expect(await look('compare', '--entry', 'a.qcow2', two, SAMPLE)).toMatchObject({ code: 0 });
  expect(await look('compare', SAMPLE, two, '--other-entry', 'a.qcow2')).toMatchObject({ code: 0 });
  expect(await look('compare', '--entry', 'b.raw', '--other-entry', 'a.qcow2', two, two)).toMatchObject({ code: 1 });
  expect(await look('digest', '--entry', 'c', two)).toMatchObject({ code: 15 });
  const undecided = await look('inspect', two);
  expect(undecided).toMatchObject({ code: 3, out: expect.stringContaining('container-not-opened') });
});

test.each([
  { file: 'cut.gz', says: 'truncated', code: 13 },
  { file: 'zeros.zst', says: 'unsafe', code: 14 },
])('$file is a verdict for inspect and lint, and an error for the others', async ({ file, says, code }) => {
  const path = scratch.path(file);
  expect(await look('inspect', path)).toMatchObject({ code: 2, out: expect.stringContaining(says) });
  expect(await look('lint', '--for', 'kubevirt', path)).toMatchObject({
    code: 2,
    out: expect.stringContaining('sound'),
  });
  for (const command of ['info', 'digest', 'map', 'check']) {
    expect(await look(command, path)).toMatchObject({ code, out: '', err: expect.stringContaining(`[${says}]`) });
  }
});

test('what grows beyond the ratio is unpacked when it is allowed', async () => {
  const allowed = ['--allow', 'size-bomb-ratio', scratch.path('zeros.zst')];
  expect(await look('digest', ...allowed)).toMatchObject({ code: 0 });
});

test('-f raw and --container take the bytes as they are', async () => {
  const path = scratch.path('sample.qcow2.gz');
  const info = (await lookJson('info', '-f', 'raw', path)) as Record<string, unknown>;
  expect(info).toMatchObject({ format: 'raw', fileSize: (await stat(path)).size });
  expect(info).not.toHaveProperty('packed');
  expect(await look('inspect', '--container', path)).toMatchObject({ code: 3 });
});

describe('cancelled while it unpacks', () => {
  beforeAll(async () => {
    const noise = randomFillSync(new Uint8Array(NOISE_BYTES));
    await writeFile(scratch.path('noise.xz'), await packedBy('xz', ['-0', '-c'], noise));
  });

  test.each([
    { command: ['inspect'], signal: 'SIGINT', code: 130 },
    { command: ['digest'], signal: 'SIGTERM', code: 143 },
    { command: ['convert', '-O', 'qcow2'], signal: 'SIGHUP', code: 129 },
  ] as const)('$command leaves nothing', async ({ command, signal, code }) => {
    const folder = scratch.path('unpacked-here');
    const target = command[0] === 'convert' ? [`${folder}/target`] : [];
    const args = [...command, '--progress=json', scratch.path('noise.xz'), ...target];
    const run = startDiskmorph(args, { env: { TMPDIR: folder } });
    await run.firstNote;
    expect(await readdir(folder)).toHaveLength(1);
    run.child.kill(signal);
    expect(await run.finished).toMatchObject({ code, signal: null, out: '' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a second signal ends the process at once, and leaves nothing either', async () => {
    const folder = scratch.path('unpacked-here');
    const run = startDiskmorph(['digest', '--progress=json', scratch.path('noise.xz')], { env: { TMPDIR: folder } });
    await run.firstNote;
    run.child.kill('SIGINT');
    const again = setInterval(() => run.child.kill('SIGINT'), 100);
    expect((await run.finished).code).toBe(130);
    clearInterval(again);
    expect(await readdir(folder)).toEqual([]);
  });
});
