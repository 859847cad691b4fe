import { expect, test } from 'vitest';
import { measure, spreadOf } from './measure.ts';

test.each([
  { figures: [3], spread: { min: 3, median: 3, max: 3 } },
  { figures: [5, 1, 2], spread: { min: 1, median: 2, max: 5 } },
  { figures: [4, 1, 2, 10], spread: { min: 1, median: 3, max: 10 } },
])('the spread of $figures', ({ figures, spread }) => {
  expect(spreadOf(figures)).toEqual(spread);
});

test('the memory and the time of a program are counted', async () => {
  const cost = await measure(process.execPath, ['-e', 'Buffer.alloc(200 * 2 ** 20, 1)']);
  expect(cost.peakMebibytes).toBeGreaterThan(200);
  expect(cost.wallSeconds).toBeGreaterThan(0);
});

test('a program that fails ends the measurement with its last words', async () => {
  await expect(measure(process.execPath, ['-e', 'console.error("no such disk"); process.exit(3)'])).rejects.toThrow(
    'no such disk',
  );
});
