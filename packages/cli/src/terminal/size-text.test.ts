import { expect, test } from 'vitest';
import { clockText, durationText, exactSizeText, sizeText } from './size-text.ts';

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [1023, '1023 bytes'],
  [1024, '1 KiB'],
  [272 * 1024, '272 KiB'],
  [1.25 * 2 ** 30, '1.25 GiB'],
  [2 ** 20 - 1, '1024 KiB'],
  [12.34 * 2 ** 40, '12.3 TiB'],
  [Number.MAX_SAFE_INTEGER, '8 PiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test('the exact number stands beside a rounded one', () => {
  expect(exactSizeText(512)).toBe('512 bytes');
  expect(exactSizeText(67108864)).toBe('64 MiB (67108864 bytes)');
});

test.each([
  [0.035, '35 ms'],
  [1.44, '1.4 s'],
  [42.4, '42 s'],
  [200, '3 min 20 s'],
  [7500, '2 h 05 min'],
])('%d seconds take %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});

test.each([
  [4.2, '0:05'],
  [760, '12:40'],
  [10_867, '3:01:07'],
])('%d seconds are %s on a clock', (seconds, text) => {
  expect(clockText(seconds)).toBe(text);
});
