import { describe, expect, test } from 'vitest';
import { incrementRefcount, maxRefcount, readRefcount, refcountBlockEntries } from './refcount-block.ts';

const ORDERS = [0, 1, 2, 3, 4, 5, 6];

describe('refcounts of every width', () => {
  test.each(ORDERS)('2^%i bits: counting one entry up leaves the others alone', (order) => {
    const block = new Uint8Array(512);
    const entries = refcountBlockEntries(block.length, order);
    const top = Math.min(maxRefcount(order), 700);
    for (const index of [0, 1, 5, entries - 1]) {
      for (let count = 1; count <= top; count++) {
        incrementRefcount(block, index, order);
        expect(readRefcount(block, index, order)).toBe(count);
      }
    }
    expect(readRefcount(block, 2, order)).toBe(0);
    expect(readRefcount(block, entries - 2, order)).toBe(0);
  });

  test('narrow ones fill a byte from its lowest bit', () => {
    const block = new Uint8Array([0b10_01_00_11]);
    expect([0, 1, 2, 3].map((index) => readRefcount(block, index, 1))).toEqual([3, 0, 1, 2]);
    expect([0, 1, 2, 3, 4].map((index) => readRefcount(block, index, 0))).toEqual([1, 1, 0, 0, 1]);
  });

  test('wide ones are big-endian', () => {
    expect(readRefcount(new Uint8Array([0, 0, 1, 2]), 1, 4)).toBe(258);
  });
});
