import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ByteSource } from './byte-source.ts';
import { memorySource } from './byte-source.ts';
import { dataRanges, holeTest } from './data-ranges.ts';

/** A source whose bytes are data where `map` has an x; every hole is known, or none. */
function sparse(map: string, knowsHoles: boolean): ByteSource {
  const source = memorySource(new Uint8Array(map.length));
  if (!knowsHoles) return source;
  const nextData = (offset: number): { start: number; end: number } | undefined => {
    const start = map.indexOf('x', offset);
    if (start < 0) return undefined;
    const end = map.indexOf('.', start);
    return { start, end: end < 0 ? map.length : end };
  };
  return { ...source, holes: { nextData } };
}

const maps = fc.array(fc.constantFrom('.', 'x'), { minLength: 1, maxLength: 40 }).map((parts) => parts.join(''));

test('the data ranges are the bytes that lie in no hole, in order', () => {
  fc.assert(
    fc.property(maps, fc.nat(45), fc.nat(45), (map, start, end) => {
      const found = [...dataRanges(sparse(map, true), start, Math.min(end, map.length))];
      const seen = found.flatMap((range) => Array.from({ length: range.end - range.start }, (_, i) => range.start + i));
      const wanted = [...map].flatMap((mark, i) => (mark === 'x' && i >= start && i < end ? [i] : []));
      expect(seen).toEqual(wanted);
    }),
  );
});

test('where holes are not known all is data', () => {
  expect([...dataRanges(sparse('....', false), 1, 3)]).toEqual([{ start: 1, end: 3 }]);
  expect([...dataRanges(sparse('....', false), 3, 3)]).toEqual([]);
  expect(holeTest(sparse('....', false))(0, 4)).toBe(false);
});

test('a range is a hole when no byte of it is data, in whatever order it is asked', () => {
  fc.assert(
    fc.property(maps, fc.array(fc.tuple(fc.nat(45), fc.nat(45)), { maxLength: 20 }), (map, questions) => {
      const isHole = holeTest(sparse(map, true));
      for (const [start, length] of questions) {
        const inside = start + length <= map.length;
        expect(isHole(start, length)).toBe(inside && !map.slice(start, start + length).includes('x'));
      }
    }),
  );
});
