import type { FileRange } from '../bytes/byte-source.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Extent } from '../image/extent.ts';
import { storedRanges } from '../image/file-holes.ts';
import type { ByteRange } from './zero-blocks.ts';

/** Guest bytes that are stored, and where, when they lie in the image's own file as they are. */
export interface StoredBytes extends ByteRange {
  readonly hostOffset: number | undefined;
}

/** What is stored on a disk, asked from the front to the back: offsets must ascend. */
export interface StoredAhead {
  within(start: number, end: number): Promise<readonly StoredBytes[]>;
  /** Has the file begin to read what is stored from `start` on, where that must wait for a disk. */
  readAhead(start: number): Promise<void>;
}

/** What is asked of an image. */
export type StoringImage = Pick<DiskImage, 'virtualSize' | 'extents' | 'holes' | 'file'>;

/** So many stored bytes are on their way from the disk while those before them are copied. */
const READ_AHEAD = 16 * 2 ** 20;
/** Guest bytes between two looks at what is on its way. */
const READ_AHEAD_STEP = 2 * 2 ** 20;
/** Bytes of data. With fewer, looking for them in the tables takes longer than the disk lets one wait. */
const WORTH_READING_AHEAD = 128 * 2 ** 20;

/** Is there so much data that the disk should be asked for it before it is wanted? */
export function isWorthReadingAhead(dataBytes: number): boolean {
  return dataBytes >= WORTH_READING_AHEAD;
}

/**
 * The image is asked once, from the first range to the end of the disk, for to look for the next hole anew for each range
 * can take longer than to copy it.
 */
export function storedAhead(source: StoringImage): StoredAhead {
  const { file } = source;
  let walk: AsyncGenerator<StoredBytes, undefined> | undefined;
  /** What has been found and not yet passed. */
  const found: StoredBytes[] = [];
  /** Guest offset before which the file has begun to read. */
  let begun = 0;
  /** Guest offset from which on is looked again. */
  let nextLook = 0;
  const findMore = async (from: number): Promise<boolean> => {
    walk ??= storedFrom(source, from);
    const { value } = await walk.next();
    if (value !== undefined) found.push(value);
    return value !== undefined;
  };
  const pass = (offset: number): void => {
    const count = found.findIndex(({ end }) => end > offset);
    found.splice(0, count < 0 ? found.length : count);
  };
  return {
    async within(start, end) {
      while ((found.at(-1)?.end ?? 0) < end && (await findMore(start)));
      pass(start);
      const inside: StoredBytes[] = [];
      for (const stored of found) {
        if (stored.start >= end) break;
        inside.push(clipped(stored, start, end));
      }
      return inside;
    },
    async readAhead(start) {
      if (file?.readAhead === undefined || start < nextLook || start >= source.virtualSize) return;
      nextLook = start + READ_AHEAD_STEP;
      pass(start);
      const ranges: FileRange[] = [];
      let room = READ_AHEAD;
      for (let i = 0; room > 0 && (i < found.length || (await findMore(start))); i++) {
        const stored = found[i];
        assert(stored !== undefined, 'what was found is there');
        if (stored.end <= start) continue;
        const first = Math.max(stored.start, start);
        const from = Math.max(first, begun);
        const to = Math.min(stored.end, first + room);
        room -= stored.end - first;
        if (to <= from) continue;
        begun = to;
        const { hostOffset } = stored;
        if (hostOffset !== undefined) ranges.push({ offset: hostOffset + (from - stored.start), length: to - from });
      }
      if (ranges.length > 0) file.readAhead(ranges);
    },
  };
}

/** Places on a disk that are tried, and the guest bytes looked at in each. */
const TRIED_PLACES = 64;
const PLACE_SIZE = 64 * 1024;

/** Is what is stored in memory already, wherever it is tried? No where that cannot be told. */
export async function isInMemory(source: StoringImage): Promise<boolean> {
  const { file, virtualSize } = source;
  if (file?.isInMemory === undefined) return false;
  const step = Math.max(PLACE_SIZE, Math.ceil(virtualSize / TRIED_PLACES));
  for (let offset = 0; offset < virtualSize; offset += step) {
    for await (const { hostOffset } of storedFrom(source, offset, Math.min(offset + PLACE_SIZE, virtualSize))) {
      if (hostOffset !== undefined && !file.isInMemory(hostOffset)) return false;
    }
  }
  return true;
}

async function* storedFrom(
  source: StoringImage,
  offset: number,
  end: number = source.virtualSize,
): AsyncGenerator<StoredBytes, undefined> {
  const storedOf = storedRanges(source);
  for await (const extent of source.extents({ offset, length: end - offset })) {
    if (extent.state !== 'data') continue;
    for (const stored of storedOf(extent)) {
      const hostOffset = hostOffsetOf(extent, stored.offset);
      yield { start: stored.offset, end: stored.offset + stored.length, hostOffset };
    }
  }
}

/** Where the guest byte at `offset` of the extent lies in the image's own file, when it lies there as it is. */
function hostOffsetOf(extent: Extent, offset: number): number | undefined {
  const { hostOffset, hostFile, depth = 0, compressed } = extent;
  if (hostOffset === undefined || hostFile !== undefined || depth > 0 || compressed) return undefined;
  return hostOffset + (offset - extent.offset);
}

function clipped({ start, end, hostOffset }: StoredBytes, from: number, to: number): StoredBytes {
  const first = Math.max(start, from);
  return {
    start: first,
    end: Math.min(end, to),
    hostOffset: hostOffset === undefined ? undefined : hostOffset + (first - start),
  };
}
