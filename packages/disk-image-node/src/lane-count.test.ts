import { expect, test } from 'vitest';
import { costInCopiedBytes } from './guest-work.ts';
import { laneCount, lanesAllowed, lanesFor } from './lane-count.ts';

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

test('copying costs its bytes; what is computed costs more', () => {
  const copying = { read: GiB, written: GiB };
  expect(costInCopiedBytes(copying)).toBe(GiB);
  for (const more of ['inflated', 'deflated', 'digested']) {
    expect(costInCopiedBytes({ ...copying, [more]: GiB })).toBeGreaterThan(2 * GiB);
  }
});

test('the wanted number of threads holds', () => {
  expect(laneCount(2 ** 20, 3)).toBe(3);
  expect(laneCount(GiB, 0)).toBe(0);
});

test.each([
  { workers: 0, callingThread: 'waits', lanes: { own: false, threads: 0 } },
  { workers: 3, callingThread: 'waits', lanes: { own: false, threads: 3 } },
  { workers: 0, callingThread: 'works', lanes: { own: true, threads: 0 } },
  { workers: 1, callingThread: 'works', lanes: { own: true, threads: 0 } },
  { workers: 3, callingThread: 'works', lanes: { own: true, threads: 2 } },
] as const)('$workers lanes while the calling thread $callingThread', ({ lanes, ...choice }) => {
  expect(lanesFor({ read: GiB, written: GiB }, choice)).toEqual(lanes);
});
