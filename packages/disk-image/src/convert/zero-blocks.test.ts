import { expect, test } from 'vitest';
import { portableCodecs } from '../bytes/portable-codecs.ts';
import { zeroBlocks } from './zero-blocks.ts';
import { zeroRuns } from './zero-rule.ts';

const KIB = 1024;
const SIZE = 256 * KIB;

/** Ones everywhere but in these ranges of zeros. */
const ZEROS: readonly (readonly [start: number, length: number])[] = [
  [4 * KIB, KIB],
  [8 * KIB, 4 * KIB],
  [20 * KIB + 512, 4 * KIB],
  [64 * KIB, 64 * KIB],
  [200 * KIB, 56 * KIB],
];

function holesWith(least: number, stored: { start: number; end: number }[] = [{ start: 0, end: SIZE }]): number[][] {
  const buffer = new Uint8Array(SIZE).fill(1);
  for (const [start, length] of ZEROS) buffer.fill(0, start, start + length);
  const zeros = zeroBlocks(buffer, 512, portableCodecs);
  zeros.scan(SIZE, [{ start: 0, end: SIZE }]);
  if (least === 0) zeros.keepAll();
  else zeros.keepShortRuns(zeroRuns({ least }), stored);
  const holes: number[][] = [];
  let end = 0;
  for (const range of [...zeros.dataRanges(), { start: SIZE, end: SIZE }]) {
    if (range.start > end) holes.push([end, range.start - end]);
    end = range.end;
  }
  return holes;
}

/** As `qemu-img convert -S` of version 7.2 leaves them out of the same bytes. */
test.each([
  { least: 0, holes: [] },
  { least: 512, holes: ZEROS },
  {
    least: 1536,
    holes: [
      [8 * KIB, 4 * KIB],
      [21 * KIB, 3 * KIB],
      [64 * KIB, 64 * KIB],
      [200 * KIB, 56 * KIB],
    ],
  },
  {
    least: 4096,
    holes: [
      [8 * KIB, 4 * KIB],
      [64 * KIB, 64 * KIB],
      [200 * KIB, 56 * KIB],
    ],
  },
  { least: 64 * KIB, holes: [[64 * KIB, 64 * KIB]] },
  { least: 2 ** 24, holes: [] },
])('runs of at least $least bytes of zeros are left out', ({ least, holes }) => {
  expect(holesWith(least)).toEqual(holes);
});

test('zeros that are not stored are left out whatever their length', () => {
  const stored = [
    { start: 0, end: 10 * KIB },
    { start: 128 * KIB, end: 210 * KIB },
  ];
  expect(holesWith(64 * KIB, stored)).toEqual([
    [10 * KIB, 2 * KIB],
    [20 * KIB + 512, 4 * KIB],
    [64 * KIB, 64 * KIB],
    [210 * KIB, 46 * KIB],
  ]);
});

test('only the given ranges are looked at', () => {
  const zeros = zeroBlocks(new Uint8Array(SIZE).fill(1), 4 * KIB, portableCodecs);
  zeros.scan(SIZE - KIB, [
    { start: 32 * KIB, end: 64 * KIB },
    { start: 224 * KIB, end: SIZE - KIB },
  ]);
  expect([...zeros.dataRanges()]).toEqual([
    { start: 32 * KIB, end: 64 * KIB },
    { start: 224 * KIB, end: SIZE - KIB },
  ]);
});
