import { execFile } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { patternBytes } from '../test/sparse-disk.ts';
import { systemCalls } from './system-calls.ts';

const MiB = 2 ** 20;
const SIZE = 8 * MiB;
const folder = mkdtempSync(path.join(tmpdir(), 'diskmorph-ahead-'));
const file = path.join(folder, 'file');
beforeEach(() => writeFileSync(file, patternBytes(SIZE, 3)));
afterAll(() => rmSync(folder, { recursive: true }));

/** Bytes of the file that are in memory. */
async function residentBytes(): Promise<number> {
  const fincore = await requirePackage('fincore', 'util-linux-extra');
  const { stdout } = await promisify(execFile)(fincore, ['--bytes', '--noheadings', '--output', 'RES', file]);
  return Number(stdout);
}

async function forget(): Promise<void> {
  await promisify(execFile)('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
}

describe.runIf(process.platform === 'linux')('reading ahead', () => {
  test('brings into memory what the disk holds', async ({ skip }) => {
    await forget();
    if ((await residentBytes()) > 0) skip(`the file system of ${tmpdir()} keeps all files in memory`);
    const fd = openSync(file, 'r');
    const within = 4.5 * MiB;
    const isInMemory = (offset: number): boolean | undefined => systemCalls().readAhead?.isInMemory(fd, offset);
    expect(isInMemory(within)).toBe(false);
    const ranges = [
      { offset: 0, length: MiB },
      { offset: 4 * MiB, length: 2 * MiB },
    ];
    systemCalls().readAhead?.begin(fd, ranges);
    await vi.waitFor(async () => expect(await residentBytes()).toBeGreaterThanOrEqual(3 * MiB), { timeout: 10_000 });
    expect(isInMemory(within)).toBe(true);
    closeSync(fd);
  });

  test.each([
    ['behind the end', () => openSync(file, 'r'), { offset: SIZE, length: MiB }],
    ['far behind it', () => openSync(file, 'r'), { offset: 2 ** 50, length: MiB }],
    ['of nothing', () => openSync(file, 'w'), { offset: 0, length: MiB }],
    ['of what is not open', () => -1, { offset: 0, length: MiB }],
  ])('never fails: %s', (_what, open, range) => {
    const fd = open();
    expect(() => systemCalls().readAhead?.begin(fd, [range])).not.toThrow();
    expect(() => systemCalls().readAhead?.begin(fd, [])).not.toThrow();
    expect(() => systemCalls().readAhead?.isInMemory(fd, range.offset)).not.toThrow();
    if (fd >= 0) closeSync(fd);
  });

  test('points to memory that stays where it is while garbage is collected', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const fd = openSync(file, 'r');
    const kept: Uint8Array[] = [];
    for (let i = 0; i < 200; i++) {
      for (let small = 0; small < 100; small++) kept.push(new Uint8Array(1 + (small % 64)));
      if (i % 20 === 0) collect();
      systemCalls().readAhead?.begin(fd, [{ offset: i * 4096, length: 4096 }]);
    }
    closeSync(fd);
    expect(kept.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
  });
});
