import { randomFillSync } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { BIN_FROM_SOURCE, startDiskmorph, WITHOUT_EXECVE } from './run-diskmorph.ts';
import type { Running, Start } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

const THROUGH_CHILD: Start = { nodeArgs: WITHOUT_EXECVE, bin: BIN_FROM_SOURCE };

/** Large and incompressible enough that a conversion is under way for seconds. */
const NOISE_BYTES = 160 * 2 ** 20;

beforeAll(async () => {
  await writeFile(scratch.path('noise.raw'), randomFillSync(new Uint8Array(NOISE_BYTES)));
});

function startLongConversion(start: Start = {}): Running {
  const target = scratch.path('target.qcow2');
  return startDiskmorph(
    [
      'convert',
      '-O',
      'qcow2',
      '-o',
      'compression=zlib,compression_level=9',
      '--progress=json',
      scratch.path('noise.raw'),
      target,
    ],
    start,
  );
}

test.each([
  { signal: 'SIGINT', code: 130, start: {}, how: 'itself' },
  { signal: 'SIGTERM', code: 143, start: {}, how: 'itself' },
  { signal: 'SIGINT', code: 130, start: THROUGH_CHILD, how: 'through the process that started it' },
  { signal: 'SIGTERM', code: 143, start: THROUGH_CHILD, how: 'through the process that started it' },
] as const)('$signal reaches the program $how: cancelled, nothing left behind', async ({ signal, code, start }) => {
  const run = startLongConversion(start);
  await run.firstNote;
  run.child.kill(signal);
  const finished = await run.finished;
  expect(finished).toMatchObject({ code, signal: null, out: '' });
  expect(finished.err).toContain('cancelled; nothing was left behind [aborted]');
  expect(await readdir(scratch.path('.'))).toEqual(['noise.raw']);
});

test('with a checkpoint, Ctrl-C leaves what the same command goes on from', async () => {
  const line = ['convert', '-O', 'raw', '--checkpoint', scratch.path('work')];
  const files = [scratch.path('noise.raw'), scratch.path('copy.raw')];
  const run = startDiskmorph([...line, '--progress=json', ...files]);
  await run.firstNote;
  run.child.kill('SIGINT');
  const cancelled = await run.finished;
  expect(cancelled).toMatchObject({ code: 130, out: '' });
  expect(cancelled.err).toContain(`the same command goes on from ${scratch.path('work')}`);
  expect((await readdir(scratch.path('.'))).sort()).toEqual(['noise.raw', 'work']);
  expect((await startDiskmorph([...line, ...files]).finished).code).toBe(0);
  expect((await readdir(scratch.path('.'))).sort()).toEqual(['copy.raw', 'noise.raw']);
  await rm(scratch.path('copy.raw'));
});

test('progress is one JSON event a line', async () => {
  const run = startLongConversion();
  const [first] = (await run.firstNote) as [Buffer];
  run.child.kill('SIGINT');
  await run.finished;
  expect(JSON.parse(first.toString().split('\n')[0] ?? '')).toMatchObject({
    event: 'progress',
    phase: 'copy',
    bytesTotal: NOISE_BYTES,
  });
});

test('killing the process that started the program kills the program', async () => {
  const run = startLongConversion(THROUGH_CHILD);
  await run.firstNote;
  run.child.kill('SIGKILL');
  const finished = await run.finished;
  expect(finished).toMatchObject({ code: null, signal: 'SIGKILL', out: '' });
});
