import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { holeFinder } from './file-source.ts';
import { openFileSink } from './file-sink.ts';
import { reserveSpace } from './reserve-space.ts';
import { loadForeignFunctions, plainSystemCalls, systemCalls } from './system-calls.ts';

const MiB = 2 ** 20;
const folder = mkdtempSync(path.join(tmpdir(), 'diskmorph-calls-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** 8 MiB with one MiB of data at 3 MiB. */
function sparseFile(name: string): string {
  const file = path.join(folder, name);
  const fd = openSync(file, 'w');
  ftruncateSync(fd, 8 * MiB);
  writeSync(fd, new Uint8Array(MiB).fill(9), 0, MiB, 3 * MiB);
  closeSync(fd);
  return file;
}

function withFile<T>(file: string, use: (fd: number) => T): T {
  const fd = openSync(file, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

test('Node gives its way to call C functions without a warning', () => {
  const warnings: unknown[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  expect(loadForeignFunctions()).toBeDefined();
  expect(warnings).toEqual([]);
});

describe('holes', () => {
  test('are found by the system', () => {
    withFile(sparseFile('holes'), (fd) => {
      const holes = holeFinder(fd, 8 * MiB, systemCalls());
      expect(holes?.nextData(0)).toEqual({ start: 3 * MiB, end: 4 * MiB });
      expect(holes?.nextData(3 * MiB + 4096)).toEqual({ start: 3 * MiB + 4096, end: 4 * MiB });
      expect(holes?.nextData(4 * MiB)).toBeUndefined();
    });
  });

  test('are not known without the system calls', () => {
    withFile(sparseFile('unknown'), (fd) => expect(holeFinder(fd, 8 * MiB, plainSystemCalls)).toBeUndefined());
  });

  test('that the system stops telling are taken for data', () => {
    let asked = 0;
    const failing = { ...plainSystemCalls, nextData: () => (asked++ === 0 ? { start: 0, end: 1 } : null) };
    expect(holeFinder(0, 100, failing)?.nextData(40)).toEqual({ start: 40, end: 100 });
  });
});

describe.each([
  ['punched as holes', systemCalls()],
  ['written where holes cannot be punched', plainSystemCalls],
] as const)('zeros %s', (_how, system) => {
  test('replace what was there, inside the file and beyond its end', async () => {
    const file = sparseFile('zeroed');
    const sink = openFileSink(file, 'the target', system);
    await sink.zero(3 * MiB + 512, 200_000);
    await sink.zero(8 * MiB - 10, 1010);
    await sink.close();
    const bytes = readFileSync(file);
    expect(bytes.length).toBe(8 * MiB + 1000);
    expect(bytes.subarray(3 * MiB, 3 * MiB + 512).every((byte) => byte === 9)).toBe(true);
    expect(bytes.subarray(3 * MiB + 512, 3 * MiB + 200_512).every((byte) => byte === 0)).toBe(true);
    expect(bytes[3 * MiB + 200_512]).toBe(9);
  });
});

test('a punched hole gives its space back', async () => {
  const file = sparseFile('punched');
  const before = statSync(file).blocks;
  const sink = openFileSink(file, 'the target');
  await sink.zero(3 * MiB, MiB);
  await sink.close();
  expect(statSync(file).blocks).toBeLessThan(before);
});

describe('space', () => {
  test('is reserved for all of a file, which stays as it is', () => {
    const file = sparseFile('reserved');
    const before = readFileSync(file);
    expect(reserveSpace(file)).toBe(true);
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(statSync(file).blocks * 512).toBeGreaterThanOrEqual(8 * MiB);
  });

  test('is not reserved without the system calls', () => {
    expect(reserveSpace(sparseFile('unreserved'), plainSystemCalls)).toBe(false);
  });
});
