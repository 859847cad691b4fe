import type { ByteSource } from './byte-source.ts';

/** Bytes that follow each other. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The parts of `[start, end)` that may hold something other than zeros; all of it when the source cannot tell. */
export function* dataRanges({ holes }: ByteSource, start: number, end: number): Generator<ByteRange> {
  if (holes === undefined) {
    if (start < end) yield { start, end };
    return;
  }
  for (let position = start; position < end;) {
    const found = holes.nextData(position);
    if (found === undefined || found.start >= end) return;
    const range = { start: Math.max(position, found.start), end: Math.min(end, found.end) };
    if (range.end <= range.start) return;
    yield range;
    position = range.end;
  }
}

/** Says whether the range of a source surely reads as zeros, without reading it. */
export type HoleTest = (start: number, length: number) => boolean;

/** A test that remembers the last hole: tables that were never written lie side by side. */
export function holeTest({ holes, size }: ByteSource): HoleTest {
  let last: ByteRange = { start: 0, end: 0 };
  return (start, length) => {
    const end = start + length;
    if (holes === undefined || end > size) return false;
    if (start >= last.start && end <= last.end) return true;
    const found = holes.nextData(start);
    const next = found === undefined ? size : Math.max(start, found.start);
    if (next > start) last = { start, end: next };
    return end <= next;
  };
}
