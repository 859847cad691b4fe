import { expect, test } from 'vitest';
import type { ShownProgress } from './progress-line.ts';
import { progressLine, progressSentence } from './progress-line.ts';

const half: ShownProgress = {
  title: 'Copying',
  bytesDone: 2 ** 30,
  bytesTotal: 2 ** 31,
  percent: 50,
  bytesPerSecond: 200 * 2 ** 20,
  etaSeconds: 5.1,
};

test.each([
  {
    width: 100,
    line: 'Copying    [###################-------------------]  50%     1 GiB of 2 GiB   200 MiB/s  0:06 left',
  },
  { width: 60, line: 'Copying    [##########-----------]  50%   200 MiB/s  0:06 left' },
  { width: 40, line: 'Copying    [######-------]  50%  0:06 left' },
  { width: 30, line: 'Copying    [####-----]  50%' },
  { width: 20, line: 'Copying    50%' },
  { width: 5, line: 'Copy' },
])('a line for $width columns', ({ width, line }) => {
  const shown = progressLine(half, { width, unicode: false });
  expect(shown.length).toBeLessThan(width);
  expect(shown.replaceAll(/[#-]+/g, '=')).toBe(line.replaceAll(/[#-]+/g, '='));
});

test.each([10, 25, 33, 47, 64, 80, 120, 300])('never reaches the last of %i columns', (width) => {
  for (const unicode of [true, false]) {
    for (const percent of [0, 3, 50, 99.9, 100]) {
      expect(progressLine({ ...half, percent }, { width, unicode }).length).toBeLessThan(width);
    }
  }
});

test('a bar is full only when all is done', () => {
  expect(progressLine({ ...half, percent: 99.9 }, { width: 80, unicode: true })).toMatch(/█░  99%/);
  expect(progressLine({ ...half, percent: 100 }, { width: 80, unicode: true })).not.toContain('░');
});

test.each([
  { name: 'under way', progress: half, text: 'Copying: 50%, 1 GiB of 2 GiB, 200 MiB/s, 0:06 left' },
  {
    name: 'before a rate is known',
    progress: { ...half, title: 'Verifying', bytesPerSecond: undefined, etaSeconds: undefined },
    text: 'Verifying: 50%, 1 GiB of 2 GiB',
  },
  { name: 'of unknown length', progress: { title: 'Storing', bytesDone: 1024 }, text: 'Storing: 1 KiB' },
  {
    name: 'at the end',
    progress: { ...half, bytesDone: 2 ** 31, percent: 100, etaSeconds: 0 },
    text: 'Copying: 100%, 2 GiB of 2 GiB, 200 MiB/s',
  },
])('a sentence $name', ({ progress, text }) => {
  expect(progressSentence(progress)).toBe(text);
});
