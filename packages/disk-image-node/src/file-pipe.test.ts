import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patternBytes } from '../test/sparse-disk.ts';
import type { FilePipe } from './file-pipe.ts';
import { systemCalls } from './system-calls.ts';

const MiB = 2 ** 20;
const SIZE = 5 * MiB + 123;
const folder = mkdtempSync(path.join(tmpdir(), 'diskmorph-pipe-'));
const at = (name: string): string => path.join(folder, name);
const bytes = patternBytes(SIZE + 1, 9).subarray(0, SIZE);
beforeAll(() => writeFileSync(at('source'), bytes));
afterAll(() => rmSync(folder, { recursive: true }));

/** Calls `work` with a pipe, the source and a target opened with `flags`; closes all. */
function withPipe<T>(flags: string, work: (pipe: FilePipe, source: number, target: number) => T): T {
  writeFileSync(at('target'), '');
  const [source, target] = [openSync(at('source'), 'r'), openSync(at('target'), flags)];
  const pipe = systemCalls().openFilePipe?.();
  if (pipe === undefined) throw new Error('this system has pipes');
  try {
    return work(pipe, source, target);
  } finally {
    pipe.close();
    closeSync(source);
    closeSync(target);
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

describe.runIf(process.platform === 'linux')('a pipe from file to file', () => {
  test('copies any range to any place', () => {
    const range = fc.record({ offset: fc.nat(SIZE - 1), length: fc.integer({ min: 1, max: SIZE }), to: fc.nat(MiB) });
    fc.assert(
      fc.property(range, ({ offset, length, to }) => {
        const inside = Math.min(length, SIZE - offset);
        withPipe('r+', (pipe, source, target) => {
          expect(pipe.copy({ fd: source, offset }, { fd: target, offset: to }, inside)).toBe(inside);
        });
        const written = readFileSync(at('target'));
        expect(written.length).toBe(to + inside);
        expect(written.subarray(to).equals(bytes.subarray(offset, offset + inside))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('copies what there is before the end of the source', () => {
    withPipe('r+', (pipe, source, target) => {
      const last = { fd: source, offset: SIZE - 10 };
      expect(pipe.copy(last, { fd: target, offset: 0 }, 100)).toBe(10);
      expect(pipe.copy({ fd: source, offset: SIZE }, { fd: target, offset: 0 }, 100)).toBe(0);
      expect(pipe.copy({ fd: source, offset: 0 }, { fd: target, offset: 10 }, 100)).toBe(100);
    });
    expect([...readFileSync(at('target'))]).toEqual([...bytes.subarray(SIZE - 10), ...bytes.subarray(0, 100)]);
  });

  test('brings nothing into the wrong place when a target takes nothing', () => {
    const before = descriptors();
    withPipe('r', (pipe, source, target) => {
      expect(pipe.copy({ fd: source, offset: 0 }, { fd: target, offset: 0 }, MiB)).toBe(0);
      writeFileSync(at('other'), '');
      const other = openSync(at('other'), 'r+');
      // What the first target refused is still in the pipe, so it is not used again.
      expect(pipe.copy({ fd: source, offset: 4096 }, { fd: other, offset: 0 }, MiB)).toBe(0);
      closeSync(other);
    });
    expect(readFileSync(at('other')).length).toBe(0);
    expect(descriptors()).toBe(before);
  });
});
