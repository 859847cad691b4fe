import { expect, test } from 'vitest';
import { progressMeter } from './progress.ts';

function reports(given: readonly (readonly [at: number, phase: string, done: number, total?: number])[]): unknown[] {
  let at = 0;
  const meter = progressMeter('step', () => at);
  return given.map(([time, phase, doneBytes, totalBytes]) => {
    at = time;
    return meter({ phase, doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
  });
}

test('percent, rate and remaining time', () => {
  expect(
    reports([
      [0, 'copy', 0, 1000],
      [1000, 'copy', 100, 1000],
      [2000, 'copy', 200, 1000],
    ]),
  ).toMatchObject([
    { percent: 0, bytesPerSecond: null, etaSeconds: null },
    { percent: 10, bytesPerSecond: 100, etaSeconds: 9 },
    { percent: 20, bytesPerSecond: 100, etaSeconds: 8 },
  ]);
});

test('bytes that were there when the step began do not count for the rate', () => {
  expect(
    reports([
      [0, 'copy', 500, 1000],
      [1000, 'copy', 600, 1000],
    ]).at(-1),
  ).toMatchObject({ bytesPerSecond: 100, percent: 60 });
});

test('a new phase begins anew', () => {
  expect(
    reports([
      [0, 'copy', 0, 10],
      [1000, 'copy', 10, 10],
      [1001, 'check', 0, 10],
    ]).at(-1),
  ).toMatchObject({
    phase: 'check',
    bytesPerSecond: null,
  });
});

test('the rate is that of the last seconds', () => {
  const fast = Array.from({ length: 11 }, (_, second) => [second * 1000, 'copy', second * 1000, 100_000] as const);
  const slow = Array.from(
    { length: 11 },
    (_, second) => [11_000 + second * 1000, 'copy', 10_000 + second, 100_000] as const,
  );
  expect(reports([...fast, ...slow]).at(-1)).toMatchObject({ bytesPerSecond: 1 });
});

test.each([
  { name: 'unknown total', total: undefined, percent: null },
  { name: 'nothing to do', total: 0, percent: 100 },
])('$name', ({ total, percent }) => {
  expect(reports([[0, 'copy', 0, total] as never])).toMatchObject([{ percent, etaSeconds: null }]);
});
