import { expect, test } from 'vitest';
import { guidBytes, guidText, seededUuid, uuidBytes, uuidText } from './guid.ts';

const TEXT = '00112233-4455-6677-8899-aabbccddeeff';

test('text and bytes of a UUID and of a GUID are each other', () => {
  expect(uuidText(uuidBytes(TEXT))).toBe(TEXT);
  expect(guidText(guidBytes(TEXT))).toBe(TEXT);
  expect([...uuidBytes(TEXT).subarray(0, 8)]).toEqual([0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
  expect([...guidBytes(TEXT).subarray(0, 8)]).toEqual([0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66]);
});

test('what is no UUID is a mistake of the caller', () => {
  expect(() => uuidBytes('1234')).toThrow('assertion failed');
});

test('a seeded UUID depends on seed and index, and says that it is of version 8', () => {
  const seed = Uint8Array.from({ length: 16 }, (_, i) => i * 7);
  expect(seededUuid(seed, 0)).toBe(seededUuid(seed.slice(), 0));
  const all = new Set([seededUuid(seed, 0), seededUuid(seed, 1), seededUuid(new Uint8Array(16), 0)]);
  expect(all.size).toBe(3);
  for (const uuid of all) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
