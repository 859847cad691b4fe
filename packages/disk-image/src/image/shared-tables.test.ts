import { expect, test } from 'vitest';
import { sharedTables } from './shared-tables.ts';

test.each([
  { name: 'all different', offset: (i: number) => i + 1, shared: undefined },
  { name: 'none there', offset: () => 0, shared: undefined },
  { name: 'all the same', offset: () => 512, shared: 4095 },
  { name: 'two of each', offset: (i: number) => 1 + (i >> 1), shared: 2048 },
  { name: 'two that are the same', offset: (i: number) => Math.max(1, i), shared: undefined },
])('4096 tables, $name', ({ offset, shared }) => {
  expect(
    sharedTables(
      Float64Array.from({ length: 4096 }, (_, i) => offset(i)),
      8192,
    ),
  ).toBe(shared);
});

test('what is small is never refused', () => {
  expect(sharedTables(new Float64Array(128).fill(512), 8192)).toBe(undefined);
});
