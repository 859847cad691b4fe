import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ByteSource, GivenOptions } from '@diskmorph/disk-image';
import { memorySource } from '@diskmorph/disk-image';
import { convertFile } from './convert-file.ts';
import { openFileSource } from './file-source.ts';
import type { UnwrittenFile, UnwrittenFilePlan } from './unwritten-file.ts';
import { openUnwrittenFile } from './unwritten-file.ts';

let directory: string;
let sourcePath: string;
let shared: ByteSource;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-unwritten-'));
  const raw = join(directory, 'source.raw');
  const text = Buffer.alloc(700_000, 'what compresses well, and something more; ');
  await writeFile(raw, Buffer.concat([randomBytes(900_000), Buffer.alloc(3_000_000), text, Buffer.alloc(512)]));
  sourcePath = join(directory, 'source.qcow2');
  await convertFile({
    source: { path: raw, format: 'raw' },
    target: { path: sourcePath, format: 'qcow2', options: { compression: 'zlib' } },
  });
  shared = await openFileSource(sourcePath);
});
afterAll(async () => {
  await shared.close();
  await rm(directory, { recursive: true, force: true });
});

async function opened(
  format: string,
  options: GivenOptions = {},
  more: {
    readonly plan?: UnwrittenFilePlan;
    readonly signal?: AbortSignal;
    readonly source?: ByteSource;
    readonly sourceFormat?: string;
    readonly stallMs?: number;
  } = {},
): Promise<UnwrittenFile> {
  return openUnwrittenFile({
    ...more,
    source: more.source ?? shared,
    format: more.sourceFormat ?? 'qcow2',
    target: { format, options, fileName: `disk.${format}` },
    directory,
  });
}

async function readAll(file: UnwrittenFile, step: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < file.sizeBytes; at += step) {
    pieces.push(await file.read(at, Math.min(step, file.sizeBytes - at)));
  }
  return Buffer.concat(pieces);
}

const CASES: readonly (readonly [string, GivenOptions])[] = [
  ['raw', {}],
  ['qcow2', {}],
  ['qcow2', { cluster_size: '512' }],
  ['qcow2', { compression: 'zlib' }],
  ['qcow2', { compression: 'zstd', cluster_size: '2M' }],
  ['qcow2', { preallocation: 'full' }],
  ['vmdk', {}],
  ['vmdk', { subformat: 'streamOptimized' }],
  ['vhd', {}],
  ['vhd', { subformat: 'fixed' }],
  ['vhdx', {}],
  ['vdi', {}],
  ['vdi', { static: 'on' }],
];

describe.each(CASES)('%s %j', (format, options) => {
  test('has the bytes that a conversion writes, also by a plan that was made before', async () => {
    const path = join(directory, `disk.${format}`);
    const source = { path: sourcePath, format: 'qcow2' };
    await convertFile({ source, target: { path, format, options }, overwrite: true });
    const written = await readFile(path);
    const file = await opened(format, options);
    const release = file.plan.use();
    expect((await readAll(file, 262_144)).equals(written)).toBe(true);
    await file.close();
    const again = await opened(format, options, { plan: file.plan });
    await release();
    expect((await readAll(again, 99_999)).equals(written)).toBe(true);
    await again.close();
    await rm(path);
    expect((await readdir(directory)).filter((name) => !name.startsWith('source'))).toEqual([]);
  });
});

test('the reason why it cannot be planned comes as it is', async () => {
  await expect(opened('qcow2', { cluster_size: '3' })).rejects.toMatchObject({ code: 'out_of_bounds' });
  await expect(opened('vmdk', { subformat: 'monolithicFlat' })).rejects.toMatchObject({ code: 'unsupported' });
});

test('an error of the source is the one that is thrown, in the middle of reading too', async () => {
  class StoreFault extends Error {}
  const whole = memorySource(randomBytes(8 * 2 ** 20));
  let fails = false;
  const source: ByteSource = {
    size: whole.size,
    close: async () => {},
    read: (...range) => (fails ? Promise.reject(new StoreFault('gone')) : whole.read(...range)),
  };
  const file = await opened('vdi', {}, { source, sourceFormat: 'raw' });
  await file.read(0, 4096);
  fails = true;
  const reading = file.read(0, file.sizeBytes);
  await Promise.all([expect(reading).rejects.toBeInstanceOf(StoreFault), reading.catch(() => file.close())]);
  await expect(opened('vdi', {}, { source, sourceFormat: 'raw' })).rejects.toBeInstanceOf(StoreFault);
});

test('a thread that shows no sign of life is ended', async () => {
  const never: ByteSource = { size: 2 ** 20, read: () => new Promise(() => {}), close: async () => {} };
  await expect(opened('vdi', {}, { source: never, stallMs: 2000 })).rejects.toMatchObject({ code: 'io' });
});

test('closing it, or its signal, ends what is under way', async () => {
  const never: ByteSource = { size: 2 ** 20, read: () => new Promise(() => {}), close: async () => {} };
  const control = new AbortController();
  const opening = opened('vdi', {}, { source: never, signal: control.signal });
  control.abort();
  await expect(opening).rejects.toMatchObject({ code: 'aborted' });
  await expect(opened('vdi', {}, { signal: control.signal })).rejects.toMatchObject({ code: 'aborted' });
  const file = await opened('vdi');
  const reading = file.read(0, 1000);
  await Promise.all([file.close(), expect(reading).rejects.toMatchObject({ code: 'aborted' })]);
  await expect(file.read(0, 1)).rejects.toMatchObject({ code: 'aborted' });
});
