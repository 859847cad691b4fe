import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { windowedReads } from './windowed-reads.ts';

const bytes = randomBytes(5 * 2 ** 20 + 17);

function counted(fails: (offset: number) => boolean = () => false) {
  const fetched: number[] = [];
  const source = windowedReads(bytes.length, async (offset, length) => {
    fetched.push(offset / 2 ** 20);
    if (fails(offset)) throw new Error('gone');
    return bytes.subarray(offset, offset + length);
  });
  return { source, fetched };
}

test('gives the bytes of any range', async () => {
  const { source } = counted();
  for (const [offset, length] of [
    [0, 10],
    [2 ** 20 - 5, 10],
    [100, 3 * 2 ** 20],
    [bytes.length - 1, 1],
    [0, bytes.length],
  ] as const) {
    const into = new Uint8Array(length);
    await source.read(offset, into);
    expect(bytes.subarray(offset, offset + length).equals(into)).toBe(true);
  }
  await expect(source.read(bytes.length, new Uint8Array(1))).rejects.toMatchObject({ code: 'truncated' });
});

test('fetches each window once when it is read in order, the next one ahead', async () => {
  const { source, fetched } = counted();
  const into = new Uint8Array(2 ** 18);
  for (let at = 0; at < bytes.length; at += into.length) {
    await source.read(at, into.subarray(0, Math.min(into.length, bytes.length - at)));
  }
  expect(fetched.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  await source.read(0, into);
  expect(fetched.at(-1)).toBe(0);
});

test('what fails ahead fails when it is read, not before', async () => {
  const { source } = counted((offset) => offset > 0);
  await source.read(0, new Uint8Array(10));
  await expect(source.read(2 ** 20, new Uint8Array(10))).rejects.toThrow('gone');
});
