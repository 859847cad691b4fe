import { expect, test } from 'vitest';
import { laneCount, lanesAllowed } from './lane-count.ts';

const GiB = 2 ** 30;

test.each([
  ['a service that bounds its address space at 1 GiB', GiB, 0],
  ['one at 2 GiB', 2 * GiB, 0],
  ['one at 8 GiB', 8 * GiB, 3],
])('%s gets lanes that cannot abort it', (_who, limit, lanes) => {
  expect(lanesAllowed(limit)).toBe(lanes);
});

test('small work stays in its thread, large work gets threads', () => {
  expect(laneCount(2 ** 20, undefined)).toBe(0);
  expect(laneCount(GiB, undefined)).toBeGreaterThan(0);
});

test('the wanted number of threads holds', () => {
  expect(laneCount(2 ** 20, 3)).toBe(3);
  expect(laneCount(GiB, 0)).toBe(0);
});
