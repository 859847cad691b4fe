import { expect, test } from 'vitest';
import { pairedRatio, spreadOf } from './statistics.ts';

test.each([
  { figures: [3], spread: { min: 3, median: 3, max: 3 } },
  { figures: [5, 1, 2], spread: { min: 1, median: 2, max: 5 } },
  { figures: [4, 1, 2, 10], spread: { min: 1, median: 3, max: 10 } },
])('the spread of $figures', ({ figures, spread }) => {
  expect(spreadOf(figures)).toEqual(spread);
});

test('no figures have no spread', () => {
  expect(() => spreadOf([])).toThrow('at least one');
});

test('a machine that slows down while it measures does not change the ratio', () => {
  expect(pairedRatio([1, 2, 4], [2, 4, 8])).toBe(0.5);
});

test('runs without a partner have no ratio', () => {
  expect(() => pairedRatio([1, 2], [1])).toThrow('2 runs of one, 1 of the other');
});
