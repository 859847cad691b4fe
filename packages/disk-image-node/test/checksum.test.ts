import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { growingChecksums } from '../src/checksum.ts';
import type { Checksums, ConversionReport, LaneChoice } from '../src/index.ts';
import { checksumFile, checksumNames, convertFile } from '../src/index.ts';
import { writeSparseDisk } from './sparse-disk.ts';

const MiB = 2 ** 20;
let folder = '';
const at = (name: string): string => path.join(folder, name);
const digestOf = (name: string, bytes: Uint8Array): string => createHash(name).update(bytes).digest('hex');

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-checksum-'));
  await writeSparseDisk(at('disk.raw'), 24 * MiB + 1536, 0.5);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function expectedChecksums(report: ConversionReport): Promise<Checksums[]> {
  const contents = await Promise.all(report.files.map((file) => readFile(file.path)));
  return contents.map((bytes) => Object.fromEntries(checksumNames.map((name) => [name, digestOf(name, bytes)])));
}

const choices: readonly LaneChoice[] = [
  { workers: 0 },
  { workers: 2 },
  { workers: 1, callingThread: 'works' },
  { workers: 3, callingThread: 'works' },
];

test.each(choices)('of a raw disk are those of the file, whoever works: %j', async (choice) => {
  const target = { path: at('target.raw'), format: 'raw', checksums: checksumNames };
  const source = { path: at('disk.raw'), format: 'raw' };
  const report = await convertFile({ source, target, overwrite: true, ...choice });
  expect(report.files.map((file) => file.checksums)).toEqual(await expectedChecksums(report));
});

test.each([
  ['vhd', { subformat: 'fixed' }],
  ['vmdk', { subformat: 'twoGbMaxExtentFlat' }],
  ['vmdk', { subformat: 'streamOptimized' }],
  ['qcow2', {}],
] as const)('of %s %j are those of every file', async (format, options) => {
  const target = { path: at(`target.${format}`), format, options, checksums: checksumNames };
  const source = { path: at('disk.raw'), format: 'raw' };
  const report = await convertFile({ source, target, overwrite: true, workers: 2 });
  expect(report.files.map((file) => file.checksums)).toEqual(await expectedChecksums(report));
});

test('a file that grows is digested as far as it is final', async () => {
  const file = await open(at('growing'), 'w');
  const bytes = new Uint8Array(3 * MiB).fill(7);
  const growing = growingChecksums(at('growing'), ['sha256']);
  try {
    await file.write(bytes.fill(9, MiB, 2 * MiB), 0, 3 * MiB, 0);
    growing.advance(MiB);
    await file.write(bytes.fill(8, MiB, 2 * MiB), 0, 3 * MiB, 0);
    growing.advance(3 * MiB);
    await truncate(at('growing'), 5 * MiB);
    const whole = new Uint8Array(5 * MiB);
    whole.set(bytes);
    expect(await growing.finish()).toEqual({ sha256: digestOf('sha256', whole) });
  } finally {
    await growing.stop();
    await file.close();
  }
});

test('a digest that is cancelled ends', async () => {
  const controller = new AbortController();
  controller.abort();
  await expect(checksumFile(at('disk.raw'), ['sha512'], { signal: controller.signal })).rejects.toMatchObject({
    code: 'aborted',
  });
});
