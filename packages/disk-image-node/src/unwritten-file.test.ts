import type { FileHandle } from 'node:fs/promises';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ByteSource, GivenOptions } from '@diskmorph/disk-image';
import { memorySource } from '@diskmorph/disk-image';
import { convertFile } from './convert-file.ts';
import { openFileSource } from './file-source.ts';
import type { AskForRoom } from './planning-room.ts';
import { openUnnamedFile } from './unnamed-file.ts';
import type { PlannedFile, UnwrittenFile } from './unwritten-file.ts';
import { openUnwrittenFile } from './unwritten-file.ts';

let directory: string;
let sourcePath: string;
let shared: ByteSource;
const plans: FileHandle[] = [];
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
afterEach(() => Promise.all(plans.splice(0).map((file) => file.close())));
afterAll(async () => {
  await shared.close();
  await rm(directory, { recursive: true, force: true });
});

interface Opened extends UnwrittenFile {
  readonly sizeBytes: number;
  /** The same file by what was planned now. */
  again(): Promise<Opened>;
}

interface More {
  readonly signal?: AbortSignal;
  readonly source?: ByteSource;
  readonly sourceFormat?: string;
  readonly room?: AskForRoom;
}

async function opened(format: string, options: GivenOptions = {}, more: More = {}): Promise<Opened> {
  const files = [await openUnnamedFile(directory, 'tables'), await openUnnamedFile(directory, 'runs')] as const;
  plans.push(...files);
  const open = async (planned?: PlannedFile): Promise<Opened> => {
    const file = await openUnwrittenFile({
      ...more,
      source: more.source ?? shared,
      format: more.sourceFormat ?? 'qcow2',
      target: { format, options, fileName: `disk.${format}` },
      tablesFd: files[0].fd,
      runsFd: files[1].fd,
      planned,
    });
    return { ...file, sizeBytes: file.planned.target.sizeBytes, again: () => open(file.planned) };
  };
  return open();
}

async function readAll({ sizeBytes, read }: Opened, step: number): Promise<Buffer> {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += step) await read(at, bytes.subarray(at, at + step));
  return bytes;
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
    expect((await readAll(file, 262_144)).equals(written)).toBe(true);
    expect((await readAll(await file.again(), 99_999)).equals(written)).toBe(true);
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
  await file.read(0, new Uint8Array(4096));
  fails = true;
  await expect(file.read(0, new Uint8Array(file.sizeBytes))).rejects.toBeInstanceOf(StoreFault);
  await expect(opened('vdi', {}, { source, sourceFormat: 'raw' })).rejects.toBeInstanceOf(StoreFault);
});

test('its signal ends the planning', async () => {
  const control = new AbortController();
  const source: ByteSource = { ...shared, read: (...range) => (control.abort(), shared.read(...range)) };
  await expect(opened('vdi', {}, { source, signal: control.signal })).rejects.toThrow(/aborted/);
  await expect(opened('vdi', {}, { signal: control.signal })).rejects.toMatchObject({ code: 'aborted' });
});

/** Bytes that the files of the last plan take. */
async function taken(): Promise<number> {
  const files = await Promise.all(plans.slice(-2).map((file) => file.stat()));
  return files.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

describe('room for what is planned', () => {
  const guest = new Uint8Array(32 * 2 ** 20);
  for (let at = 0; at < guest.length; at += 1024) guest[at] = 1;

  test('is asked for before it is taken, and no more than a step ahead', async () => {
    let asked = 0;
    const before: number[] = [];
    const room = async (bytes: number): Promise<void> => {
      before.push((await taken()) - asked);
      asked = (await taken()) + bytes;
    };
    const options = { cluster_size: '512' };
    await opened('qcow2', options, { source: memorySource(guest), sourceFormat: 'raw', room });
    expect(before.length).toBeGreaterThan(0);
    expect(Math.max(...before)).toBeLessThanOrEqual(0);
    expect(await taken()).toBeLessThanOrEqual(asked);
  });

  test('that is refused ends it', async () => {
    const refusal = new Error('no room');
    const room = (): Promise<void> => Promise.reject(refusal);
    await expect(opened('vdi', {}, { source: memorySource(guest), sourceFormat: 'raw', room })).rejects.toBe(refusal);
  });

  test('is not asked for what is planned already, nor for a raw disk', async () => {
    let asked = 0;
    const room = async (): Promise<void> => void asked++;
    const raw = await opened('raw', {}, { room });
    await readAll(raw, 2 ** 20);
    expect(asked).toBe(0);
    const vdi = await opened('vdi', {}, { room });
    const first = asked;
    await readAll(await vdi.again(), 2 ** 20);
    expect([first, asked]).toEqual([1, 1]);
  });
});
