import { randomFillSync } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tarOf } from '../../disk-image/test/tar-archives.ts';
import type { Finished, Running } from './run-diskmorph.ts';
import { SAMPLE, startDiskmorph } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

/** Large enough that an import can be stopped while it is under way. */
const NOISE_BYTES = 160 * 2 ** 20;

beforeAll(async () => {
  await writeFile(scratch.path('noise.raw'), randomFillSync(new Uint8Array(NOISE_BYTES)));
});

let stateNumber = 0;
beforeEach(() => {
  stateNumber++;
});

function start(...args: readonly string[]): Running {
  return startDiskmorph(args, { env: { DISKMORPH_STATE_DIR: scratch.path(`state-${stateNumber}`) } });
}

function run(...args: readonly string[]): Promise<Finished> {
  return start(...args).finished;
}

function startLongImport(): Running {
  return start('import', '-O', 'qcow2', '--progress=json', scratch.path('noise.raw'));
}

async function firstTask(): Promise<{ id: string; status: string; errorCode: string | null }> {
  return JSON.parse((await run('tasks', '--json')).out)[0];
}

test('an image goes the whole road and is found in every list', async () => {
  const imported = await run('import', '--name', 'small', SAMPLE);
  expect(imported.code).toBe(0);
  expect(imported.out).toMatch(/^ACTIVE {2}small\n/);
  expect(imported.out).toContain('stage, inspect, convert, verify, store, activate');
  expect(imported.out).toMatch(/format +raw, converted from qcow2/);

  const images = await run('images');
  expect(images.out).toMatch(/active +raw +64 MiB +64 MiB +local +small/);
  const [image] = JSON.parse((await run('images', '--json')).out);
  expect((await run('images', image.id)).out).toContain('source_format');
  const task = await firstTask();
  expect(task.status).toBe('success');
  expect((await run('tasks', task.id)).out).toMatch(/^success {2}import\n/);
  expect(await run('resume')).toMatchObject({ code: 0, out: 'Nothing was cut off.\n', err: '' });
});

test('one JSON document tells what became of it', async () => {
  const { code, out } = await run('import', '--json', '-O', 'vmdk', SAMPLE);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    image: { status: 'active', diskFormat: 'vmdk', virtualSize: 67108864 },
    task: { status: 'success' },
    resumed: false,
  });
});

test('a false declaration is refused, undone, and told', async () => {
  const refused = await run('import', '-f', 'vmdk', SAMPLE);
  expect(refused).toMatchObject({ code: 4, out: '' });
  expect(refused.err).toContain('[format_mismatch]');
  expect((await run('images')).out).toContain('queued');
  expect(await firstTask()).toMatchObject({ status: 'failure', errorCode: 'format_mismatch' });
});

test.each([
  { name: 'a file that is not there', args: ['import', '/nowhere/x'], code: 16, says: 'no such file [io]' },
  { name: 'a task that is not there', args: ['tasks', 'x'], code: 4, says: '[not_found]' },
  { name: 'an image that is not there', args: ['images', 'x'], code: 4, says: '[not_found]' },
  { name: 'a store that is not there', args: ['import', '--store', 'x', SAMPLE], code: 4, says: '[invalid_value]' },
  { name: 'no task to cancel', args: ['tasks', '--cancel'], code: 64, says: '--cancel needs a TASK' },
])('$name ends with $code', async ({ args, code, says }) => {
  const refused = await run(...args);
  expect(refused).toMatchObject({ code, out: '' });
  expect(refused.err).toContain(says);
  expect(refused.err).not.toMatch(/^\s+at .+:\d+/m);
});

test('every problem of the configuration is named with its place', async () => {
  const file = scratch.path('bad.conf');
  await writeFile(file, '[taskflow_executor]\nconversion_format = cow\n');
  const refused = await run('images', '--config-file', file);
  expect(refused).toMatchObject({ code: 78, out: '' });
  expect(refused.err).toContain(
    `conversion_format = cow: is not one of the choices; choices: qcow2, raw, vmdk (${file}:2)`,
  );
  expect(refused.err).toContain('[configuration]');
});

test('Ctrl-C undoes the import', async () => {
  const running = startLongImport();
  await running.firstNote;
  running.child.kill('SIGINT');
  const finished = await running.finished;
  expect(finished).toMatchObject({ code: 130, out: '' });
  expect(finished.err).toContain('cancelled; the import was undone [aborted]');
  expect(await firstTask()).toMatchObject({ status: 'failure', errorCode: 'cancelled' });
  for (const folder of ['store', 'work', 'staging']) {
    expect(await readdir(scratch.path(`state-${stateNumber}/${folder}`))).toEqual([]);
  }
});

test('an import that was killed is brought to its end', async () => {
  const running = startLongImport();
  await running.firstNote;
  running.child.kill('SIGKILL');
  expect(await running.finished).toMatchObject({ signal: 'SIGKILL' });
  expect(['pending', 'processing']).toContain((await firstTask()).status);
  const resumed = await run('resume', '--json');
  expect(resumed.code).toBe(0);
  expect(JSON.parse(resumed.out)).toMatchObject([{ status: 'success' }]);
});

test('a second process on the same state is told to wait', async () => {
  const running = startLongImport();
  await running.firstNote;
  const second = await run('resume');
  running.child.kill('SIGINT');
  await running.finished;
  expect(second).toMatchObject({ code: 75, out: '' });
  expect(second.err).toContain('[locked]');
});

interface Shown {
  readonly image: { readonly checksum: string; readonly virtualSize: number; readonly diskFormat: string };
}
const importJson = async (...args: readonly string[]): Promise<Shown> =>
  JSON.parse((await run('import', '--json', ...args)).out);
const leftInWork = async (): Promise<readonly string[]> =>
  (await readdir(scratch.path(`state-${stateNumber}`), { recursive: true })).filter((name) =>
    /unpack|staged/.test(name),
  );

describe('a packed image', () => {
  beforeAll(async () => {
    const qcow2 = await readFile(SAMPLE);
    await writeFile(scratch.path('sample.qcow2.gz'), gzipSync(qcow2));
    await writeFile(scratch.path('cut.gz'), gzipSync(qcow2).subarray(0, -100));
    const files = [
      { name: 'a.qcow2', content: qcow2 },
      { name: 'b.txt', content: new Uint8Array(5) },
    ];
    await writeFile(scratch.path('two.tar.zst'), zstdCompressSync(tarOf(files)));
  });

  test.each([
    { args: ['sample.qcow2.gz'] },
    { args: ['-f', 'qcow2', 'sample.qcow2.gz'] },
    { args: ['--entry', 'a.qcow2', 'two.tar.zst'] },
  ])('$args is imported as the image inside', async ({ args }) => {
    const plain = await importJson(SAMPLE);
    const packed = await importJson(...args.slice(0, -1), scratch.path(args.at(-1) ?? ''));
    expect(packed.image).toMatchObject({ checksum: plain.image.checksum, diskFormat: 'raw', virtualSize: 67108864 });
    expect(await leftInWork()).toEqual([]);
  });

  test.each([
    { args: ['cut.gz'], says: 'truncated' },
    { args: ['-f', 'qcow2', 'cut.gz'], says: 'truncated' },
    { args: ['-f', 'vmdk', 'sample.qcow2.gz'], says: 'mismatch' },
    { args: ['two.tar.zst'], says: '"a.qcow2", "b.txt"' },
    { args: ['--entry', 'x', SAMPLE], says: 'is no archive' },
  ])('$args is refused, and nothing is left', async ({ args, says }) => {
    const file = args.at(-1) ?? '';
    const failed = await run('import', ...args.slice(0, -1), file.startsWith('/') ? file : scratch.path(file));
    expect(failed.code).not.toBe(0);
    expect(failed.err).toContain(says);
    expect(await leftInWork()).toEqual([]);
  });

  test('Ctrl-C while its format is found out leaves nothing', async () => {
    await writeFile(scratch.path('noise.zst'), zstdCompressSync(await readFile(scratch.path('noise.raw'))));
    await mkdir(scratch.path('unpacked-here'), { recursive: true });
    const run = start('import', '--unpack-dir', scratch.path('unpacked-here'), scratch.path('noise.zst'));
    while ((await readdir(scratch.path('unpacked-here'))).length === 0) await nextTurn();
    run.child.kill('SIGINT');
    expect((await run.finished).code).toBe(130);
    expect(await readdir(scratch.path('unpacked-here'))).toEqual([]);
  });

  test('-f raw takes the bytes as they are', async () => {
    const { image } = await importJson('-f', 'raw', scratch.path('sample.qcow2.gz'));
    expect(image.virtualSize).toBeLessThan(64 * 1024);
  });
});
