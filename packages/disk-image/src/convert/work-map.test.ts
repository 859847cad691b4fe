import fc from 'fast-check';
import { expect, test } from 'vitest';
import { coarserMap, dataParts, emptyWorkMap, markRange, nextDataChunk, nextEmptyChunk } from './work-map.ts';

const KIB = 1024;
const CHUNK = 256 * KIB;
const PART = 32 * KIB;
const CHUNKS = 40;

test('marks hold every range given, in whole parts, and nothing else', () => {
  const range = fc.tuple(fc.nat(CHUNKS * CHUNK - 1), fc.integer({ min: 1, max: 3 * CHUNK }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), (ranges) => {
      const map = emptyWorkMap(CHUNKS * CHUNK, 1, false);
      const wanted = new Set<number>();
      for (const [offset, length] of ranges) {
        const inside = Math.min(length, CHUNKS * CHUNK - offset);
        markRange(map, offset, inside);
        for (let part = Math.floor(offset / PART); part * PART < offset + inside; part++) wanted.add(part);
      }
      const marked = new Set<number>();
      for (let chunk = nextDataChunk(map, 0); chunk >= 0; chunk = nextDataChunk(map, chunk + 1)) {
        for (const { start, end } of dataParts(map, chunk, CHUNK)) {
          for (let at = start; at < end; at += PART) marked.add((chunk * CHUNK + at) / PART);
        }
      }
      expect([...marked]).toEqual([...wanted].sort((a, b) => a - b));
    }),
  );
});

test('empty and full chunks are found from anywhere', () => {
  const map = emptyWorkMap(CHUNKS * CHUNK, 1, false);
  markRange(map, 13 * CHUNK, 2 * CHUNK);
  expect([0, 13, 14, 15].map((from) => nextDataChunk(map, from))).toEqual([13, 13, 14, -1]);
  expect([0, 13, 14, 39].map((from) => nextEmptyChunk(map, from))).toEqual([0, 15, 15, 39]);
});

test('the parts of the last chunk end with the disk', () => {
  const map = emptyWorkMap(CHUNK + PART + 512, 1, false);
  markRange(map, CHUNK + PART, 512);
  expect(dataParts(map, 1, PART + 512)).toEqual([{ start: PART, end: PART + 512 }]);
});

test('a map in larger chunks has every part with data, as if marked in them', () => {
  const range = fc.tuple(fc.nat(CHUNKS * CHUNK - 1), fc.integer({ min: 1, max: 3 * CHUNK }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), fc.constantFrom(2, 4, 8), (ranges, factor) => {
      const map = emptyWorkMap(CHUNKS * CHUNK, 1, false);
      const wanted = emptyWorkMap(CHUNKS * CHUNK, factor * CHUNK, false);
      for (const [offset, length] of ranges) {
        const inside = Math.min(length, CHUNKS * CHUNK - offset);
        markRange(map, offset, inside);
        markRange(wanted, offset, inside);
      }
      expect(coarserMap(map, factor, false)).toEqual(wanted);
    }),
  );
});
