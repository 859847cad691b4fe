import { expect, test } from 'vitest';
import { isStored, parseBitmap, runOfBits } from './sector-bitmap.ts';

const BLOCK = 32 * 512;

test('the highest bit of a byte is its first sector', () => {
  const bits = Uint8Array.of(0b1100_0001, 0, 0xff, 0x80);
  expect([0, 1, 2, 6, 7, 8, 16, 24, 25].filter((sector) => isStored(bits, sector))).toEqual([0, 1, 7, 16, 24]);
});

test('runs go across bytes and end where the disk does', () => {
  const bits = Uint8Array.of(0b1100_0001, 0xff, 0xff, 0);
  expect(runOfBits(bits, 0, 32)).toBe(2);
  expect(runOfBits(bits, 2, 32)).toBe(5);
  expect(runOfBits(bits, 7, 32)).toBe(17);
  expect(runOfBits(bits, 7, 12)).toBe(5);
  expect(runOfBits(bits, 24, 32)).toBe(8);
});

test('a bitmap is full when every sector of the block is stored, whatever the padding says', () => {
  expect(parseBitmap(new Uint8Array(512).fill(0xff), BLOCK).full).toBe(true);
  expect(parseBitmap(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0), BLOCK).full).toBe(true);
  expect(parseBitmap(Uint8Array.of(0xff, 0xff, 0xff, 0xfe, 0xff), BLOCK).full).toBe(false);
  expect(parseBitmap(new Uint8Array(512), BLOCK).full).toBe(false);
});
