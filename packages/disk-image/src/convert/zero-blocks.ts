import type { Codecs } from '../bytes/codecs.ts';

/** The unit in which zeros are found in data: what file systems allocate, and what `qemu-img -S` takes by default. */
export const ZERO_BLOCK_SIZE: number = 4096;

/** A half-open range of bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Tells data from zeros in one buffer, in blocks of `blockSize` bytes. Made once and reused: it allocates nothing. */
export interface ZeroBlocks {
  /**
   * Looks at the first `length` bytes; what lies outside of `ranges`, which ascend and begin at multiples of the block
   * size, is known to be zeros.
   */
  scan(length: number, ranges: readonly ByteRange[]): void;
  /** After `scan`: true when any byte in the range, whose bounds are multiples of the block size, is not zero. */
  hasData(start: number, end: number): boolean;
  /**
   * After `scan`: zeros count as data where they lie in one of the `stored` ranges and no run of at least `least` bytes
   * of zeros holds them, looked at in whole units of `unit` bytes, a power of two and a multiple of the block size.
   */
  keepShortRuns(runs: ZeroRuns, stored: readonly ByteRange[]): void;
  /** After `scan`: the ranges, whose bounds are multiples of the block size, count as data whatever they hold. */
  countAsData(ranges: readonly ByteRange[]): void;
  /** After `scan`: everything counts as data. */
  keepAll(): void;
  /** After `scan`: the maximal ranges of blocks with data, clipped to the scanned length. */
  dataRanges(): Generator<ByteRange>;
}

/** Which runs of zeros are left out. */
export interface ZeroRuns {
  /** Runs begin and end at multiples of this. */
  readonly unit: number;
  /** Bytes of the shortest. */
  readonly least: number;
}

/** Zero blocks of `buffer`, which must begin at a multiple of 4 in its memory. */
export function zeroBlocks(buffer: Uint8Array, blockSize: number, codecs: Codecs): ZeroBlocks {
  const words = new Int32Array(buffer.buffer, buffer.byteOffset, buffer.length >> 2);
  const blocks = Array.from({ length: Math.ceil(buffer.length / blockSize) }, (_, i) =>
    buffer.subarray(i * blockSize, Math.min((i + 1) * blockSize, buffer.length)),
  );
  const isData = new Uint8Array(blocks.length);
  let scanned = 0;
  const test = (index: number): boolean => {
    if (words[(index * blockSize) >> 2] !== 0) return true;
    const block = blocks[index];
    if (block === undefined) return false;
    const inside = scanned - index * blockSize;
    return !codecs.isZero(inside < block.length ? block.subarray(0, inside) : block);
  };
  return {
    scan(length, ranges) {
      scanned = length;
      isData.fill(0);
      for (const { start, end } of ranges) {
        const last = Math.ceil(end / blockSize);
        for (let i = start / blockSize; i < last; i++) if (test(i)) isData[i] = 1;
      }
    },
    keepShortRuns(runs, stored) {
      const count = Math.ceil(scanned / blockSize);
      const perUnit = runs.unit / blockSize;
      const isZeroUnit = (first: number): boolean => {
        for (let i = first; i < Math.min(first + perUnit, count); i++) if (isData[i] === 1) return false;
        return true;
      };
      const kept = new Uint8Array(count);
      for (let first = 0; first < count;) {
        let end = first;
        while (end < count && isZeroUnit(end)) end += perUnit;
        const length = Math.min(end * blockSize, scanned) - first * blockSize;
        const next = Math.max(end, first + perUnit);
        if (end === first || length < Math.min(runs.least, scanned)) kept.fill(1, first, next);
        first = next;
      }
      for (const range of stored) {
        for (let i = Math.floor(range.start / blockSize); i * blockSize < range.end; i++) isData[i] ||= kept[i] ?? 0;
      }
    },
    countAsData(ranges) {
      for (const { start, end } of ranges) isData.fill(1, start / blockSize, end / blockSize);
    },
    keepAll() {
      isData.fill(1, 0, Math.ceil(scanned / blockSize));
    },
    hasData(start, end) {
      const last = Math.min(Math.ceil(end / blockSize), isData.length);
      for (let i = start / blockSize; i < last; i++) if (isData[i] === 1) return true;
      return false;
    },
    *dataRanges() {
      const count = Math.ceil(scanned / blockSize);
      for (let i = 0; i < count; i++) {
        if (isData[i] === 0) continue;
        const first = i;
        while (i + 1 < count && isData[i + 1] === 1) i++;
        yield { start: first * blockSize, end: Math.min((i + 1) * blockSize, scanned) };
      }
    },
  };
}
