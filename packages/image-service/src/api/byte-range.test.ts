import { expect, test } from 'vitest';
import type { ByteRange } from './byte-range.ts';
import { parseRange } from './byte-range.ts';

const cases: readonly [header: string | undefined, range: ByteRange | 'unsatisfiable' | undefined][] = [
  [undefined, undefined],
  ['bytes=0-', { offset: 0, length: 10 }],
  ['bytes=2-4', { offset: 2, length: 3 }],
  ['bytes=9-', { offset: 9, length: 1 }],
  ['bytes=2-100', { offset: 2, length: 8 }],
  ['bytes=-3', { offset: 7, length: 3 }],
  ['bytes=-100', { offset: 0, length: 10 }],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=4-2', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,3-4', undefined],
  ['items=0-1', undefined],
];
test.each(cases)('%s of ten bytes', (header, range) => {
  expect(parseRange(header, 10)).toEqual(range);
});
