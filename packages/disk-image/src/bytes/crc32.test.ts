import { expect, test } from 'vitest';
import { crc32, crc32c, withZeroedField } from './crc32.ts';
import { guidText, uuidText } from './guid.ts';
import { ascii } from './numbers.ts';

test.each([
  { name: 'crc32', sum: crc32, expected: 0xcbf43926 },
  { name: 'crc32c', sum: crc32c, expected: 0xe3069283 },
])('$name of the check string 123456789', ({ sum, expected }) => {
  expect(sum(ascii('123456789'))).toBe(expected);
  expect(sum(new Uint8Array(0))).toBe(0);
});

test('a zeroed field leaves the original alone', () => {
  const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6]);
  expect([...withZeroedField(bytes, 1)]).toEqual([1, 0, 0, 0, 0, 6]);
  expect(bytes[1]).toBe(2);
});

test('a GUID has its first three groups little-endian, a UUID has none', () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
  expect(guidText(bytes)).toBe('03020100-0504-0706-0809-0a0b0c0d0e0f');
  expect(uuidText(bytes)).toBe('00010203-0405-0607-0809-0a0b0c0d0e0f');
});
