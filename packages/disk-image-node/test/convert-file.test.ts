import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConversionReport, FileConversion, LaneChoice } from '../src/index.ts';
import { compareFiles, convertFile, convertFiles, digestFile, verifyFile } from '../src/index.ts';
import { writeSparseDisk } from './sparse-disk.ts';

const MiB = 2 ** 20;
let folder = '';
const at = (name: string): string => path.join(folder, name);
const sha256 = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

const targets = [
  ['raw', {}],
  ['qcow2', {}],
  ['qcow2', { compression: 'zlib' }],
  ['qcow2', { compression: 'zstd', cluster_size: '4k' }],
  ['vmdk', { subformat: 'monolithicSparse' }],
  ['vmdk', { subformat: 'streamOptimized' }],
] as const;

beforeAll(async () => {
  // In memory where the system has it: every conversion flushes its result, and this file makes two hundred.
  folder = await mkdtemp(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'diskmorph-convert-'));
  await writeSparseDisk(at('disk.raw'), 24 * MiB + 1536, 0.5);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function request(format: string, options: Record<string, string>, name: string): FileConversion {
  return {
    source: { path: at('disk.raw'), format: 'raw' },
    target: { path: at(name), format, options },
    overwrite: true,
  };
}

/** Runs a conversion in a child; `killAt` says at which progress it gets SIGKILL. */
async function runChild(
  wanted: FileConversion,
  killAt?: (progress: { readonly phase: string; readonly percent: number }) => boolean,
): Promise<{
  readonly report?: ConversionReport;
  readonly error?: { readonly code: string };
  readonly signal: string | null;
}> {
  const script = path.join(import.meta.dirname, 'convert-child.ts');
  const child = spawn(process.execPath, ['--conditions=source', script, JSON.stringify(wanted)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let last: { report?: ConversionReport; error?: { code: string } } = {};
  const ended = new Promise<string | null>((resolve) => {
    child.on('close', (_code, signal) => resolve(signal));
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line);
    if (message.report !== undefined || message.error !== undefined) last = message;
    else if (killAt?.(message) === true) child.kill('SIGKILL');
  }
  return { ...last, signal: await ended };
}

describe.each(targets)('raw to %s %j', (format, options) => {
  test('gives the same bytes with any number of threads', async () => {
    const digests = new Set<string>();
    for (const workers of [0, 1, 2, 4]) {
      await convertFile({ ...request(format, options, `threads.${format}`), workers });
      digests.add(await sha256(at(`threads.${format}`)));
    }
    const both: LaneChoice = { workers: 2, callingThread: 'works' };
    await convertFile({ ...request(format, options, `threads.${format}`), ...both });
    digests.add(await sha256(at(`threads.${format}`)));
    expect(digests.size).toBe(1);
  });

  test('holds the guest bytes of the source, by its own reader', async () => {
    const report = await convertFile(request(format, options, `whole.${format}`));
    expect(report.verified).toBe(true);
    const target = { path: at(`whole.${format}`), format };
    const first = await compareFiles({ path: at('disk.raw'), format: 'raw' }, target);
    expect(first).toMatchObject({ equal: true, firstDifference: undefined });
    if (report.plan.layout.virtualSize === report.virtualSize) {
      expect((await digestFile(target)).contentId).toBe(report.contentId);
    }
  });

  test('killed at any point and started again goes on from its checkpoint to the same bytes', async () => {
    await convertFile(request(format, options, `killed.${format}`));
    const reference = await sha256(at(`killed.${format}`));
    await rm(at(`killed.${format}`));
    const wanted = {
      ...request(format, options, `killed.${format}`),
      workers: 2,
      checkpoint: { path: at(`work-${format}`), intervalBytes: 4 * MiB },
    };
    const killed = await runChild(wanted, (progress) => progress.phase === 'copy' && progress.percent > 40);
    expect(killed.signal).toBe('SIGKILL');
    const killedAgain = await runChild(wanted, (progress) => progress.phase === 'verify');
    expect(killedAgain.signal).toBe('SIGKILL');
    const { report } = await runChild(wanted);
    expect(report?.resumedFromBytes).toBeGreaterThan(0);
    expect(await sha256(at(`killed.${format}`))).toBe(reference);
    expect((await readdir(folder)).filter((name) => /work-|partial/.test(name))).toEqual([]);
  });

  test('cancelled half-way leaves nothing behind', async () => {
    const controller = new AbortController();
    const cancelled = convertFile({
      ...request(format, options, `cancelled.${format}`),
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.bytesDone > 0) controller.abort();
      },
    });
    await expect(cancelled).rejects.toMatchObject({ code: 'aborted' });
    expect((await readdir(folder)).filter((name) => name.startsWith('cancelled'))).toEqual([]);
  });
});

test('a conversion on the calling thread hears what happens in between', async () => {
  const controller = new AbortController();
  const cancelled = convertFile({
    ...request('qcow2', { compression: 'zlib' }, 'heard.qcow2'),
    workers: 1,
    callingThread: 'works',
    signal: controller.signal,
    onProgress: () => setImmediate(() => controller.abort()),
  });
  await expect(cancelled).rejects.toMatchObject({ code: 'aborted' });
  expect((await readdir(folder)).filter((name) => name.startsWith('heard'))).toEqual([]);
});

test.each([0, 2])('several targets from one read are what each alone would be (%i threads)', async (workers) => {
  const several = targets.map(([format, options], index) => ({ path: at(`several-${index}.img`), format, options }));
  const source = { path: at('disk.raw'), format: 'raw' };
  const report = await convertFiles({ source, targets: several, workers, overwrite: true });
  expect(report.targets.map((target) => target.files.map((file) => file.path))).toEqual(
    several.map((target) => [target.path]),
  );
  for (const target of several) {
    const together = await sha256(target.path);
    await convertFile({ source, target, overwrite: true });
    expect(await sha256(target.path)).toBe(together);
  }
});

test('a checkpoint of another source is not used', async () => {
  await writeSparseDisk(at('changing.raw'), 64 * MiB, 0.6);
  const wanted = {
    source: { path: at('changing.raw'), format: 'raw' },
    target: { path: at('changed.raw'), format: 'raw' },
    workers: 1,
    checkpoint: { path: at('work-changing'), intervalBytes: 4 * MiB },
  };
  await runChild(wanted, (progress) => progress.phase === 'copy' && progress.percent > 40);
  const file = await open(at('changing.raw'), 'r+');
  await file.write(new Uint8Array(4096).fill(7), 0, 4096, 0);
  await file.close();
  const { report } = await runChild(wanted);
  expect(report?.resumedFromBytes).toBe(0);
  expect(await sha256(at('changed.raw'))).toBe(await sha256(at('changing.raw')));
});

test('a damaged checkpoint is not used', async () => {
  const wanted = {
    ...request('raw', {}, 'damaged.raw'),
    checkpoint: { path: at('work-damaged'), intervalBytes: 4 * MiB },
  };
  await runChild({ ...wanted, workers: 1 }, (progress) => progress.phase === 'copy' && progress.percent > 40);
  const saved = await readFile(at('work-damaged/checkpoint.json'), 'utf8');
  await writeFile(at('work-damaged/checkpoint.json'), saved.replace(/"nextChunk":\d+/, '"nextChunk":300'));
  const report = await convertFile(wanted);
  expect(report.resumedFromBytes).toBe(0);
  expect(await sha256(at('damaged.raw'))).toBe(await sha256(at('disk.raw')));
});

test('a checkpoint directory that holds files of others keeps them', async () => {
  await mkdir(at('shared-work'));
  await writeFile(at('shared-work/precious'), 'keep me');
  await convertFile({
    ...request('raw', {}, 'shared.raw'),
    checkpoint: { path: at('shared-work'), intervalBytes: 4 * MiB },
  });
  expect(await readdir(at('shared-work'))).toEqual(['precious']);
  expect(await sha256(at('shared.raw'))).toBe(await sha256(at('disk.raw')));
  await rm(at('shared-work'), { recursive: true });
});

test('an existing target is refused unless it may be replaced', async () => {
  await writeFile(at('existing.raw'), 'precious');
  const wanted = { ...request('raw', {}, 'existing.raw'), overwrite: false };
  await expect(convertFile(wanted)).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining('exists already'),
  });
  expect(await readFile(at('existing.raw'), 'utf8')).toBe('precious');
});

test('a failed conversion keeps the file that it was to replace', async () => {
  await writeFile(at('kept.raw'), 'precious');
  const broken = { ...request('raw', {}, 'kept.raw'), source: { path: at('kept.raw'), format: 'qcow2' } };
  await expect(convertFile(broken)).rejects.toMatchObject({ code: 'wrong_format' });
  expect(await readFile(at('kept.raw'), 'utf8')).toBe('precious');
});

test.each([0, 2])('a source that shrinks meanwhile is an error, not zeros (%i threads)', async (workers) => {
  await writeSparseDisk(at('shrinking.raw'), 64 * MiB, 0.9);
  const controller = { done: false };
  const shrinking = convertFile({
    source: { path: at('shrinking.raw'), format: 'raw' },
    target: { path: at('shrunk.raw'), format: 'raw' },
    workers,
    onProgress: () => {
      if (!controller.done) void truncate(at('shrinking.raw'), 4 * MiB);
      controller.done = true;
    },
  });
  await expect(shrinking).rejects.toMatchObject({ code: 'truncated' });
  expect((await readdir(folder)).filter((name) => name.startsWith('shrunk'))).toEqual([]);
});

test.each([0, 2])('a full disk is a clear error and leaves nothing (%i threads)', async (workers) => {
  const wanted = JSON.stringify({ ...request('qcow2', {}, 'full.qcow2'), workers });
  const script = path.join(import.meta.dirname, 'convert-child.ts');
  const child = spawn('prlimit', [`--fsize=${8 * MiB}`, process.execPath, '--conditions=source', script, wanted], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const piece of child.stdout) output += piece;
  const { error } = JSON.parse(output.trim().split('\n').at(-1) ?? '');
  expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('the file system does not allow') });
  expect((await readdir(folder)).filter((name) => name.startsWith('full'))).toEqual([]);
});

test('a result that differs in one byte is found by verification', async () => {
  const report = await convertFile(request('raw', {}, 'differs.raw'));
  const file = await open(at('differs.raw'), 'r+');
  await file.write(Uint8Array.of(1), 0, 1, 24 * MiB + 1535);
  await file.close();
  const expected = { contentId: report.contentId ?? '', virtualSize: report.virtualSize };
  await expect(verifyFile({ path: at('differs.raw'), format: 'raw' }, expected)).rejects.toMatchObject({
    code: 'corrupt',
  });
  const comparison = await compareFiles(
    { path: at('disk.raw'), format: 'raw' },
    { path: at('differs.raw'), format: 'raw' },
  );
  expect(comparison.firstDifference).toBe(24 * MiB + 1535);
});

test('holes stay holes', async () => {
  await writeSparseDisk(at('sparse.raw'), 1024 * MiB, 0.01);
  await convertFile({
    source: { path: at('sparse.raw'), format: 'raw' },
    target: { path: at('holes.raw'), format: 'raw' },
  });
  const [from, to] = [await stat(at('sparse.raw')), await stat(at('holes.raw'))];
  expect(to.size).toBe(from.size);
  expect(to.blocks).toBeLessThanOrEqual(from.blocks);
});

test('special files are refused without waiting for them', async () => {
  for (const special of ['/dev/zero', '/dev/tty', folder]) {
    const wanted = { source: { path: special, format: 'raw' }, target: { path: at('special.raw'), format: 'raw' } };
    await expect(convertFile(wanted)).rejects.toMatchObject({ name: 'ImageError' });
  }
});
