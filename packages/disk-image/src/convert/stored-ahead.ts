import type { DiskImage } from '../image/disk-image.ts';
import type { Extent } from '../image/extent.ts';
import { storedRanges } from '../image/file-holes.ts';
import type { ByteRange } from './zero-blocks.ts';

/** Guest bytes that are stored, and where, when they lie in the image's own file as they are. */
export interface StoredBytes extends ByteRange {
  readonly hostOffset: number | undefined;
}

/**
 * What is stored in a range, for ranges that ascend: the image is asked once, from the first range to the end of the
 * disk, for to look for the next hole anew for each range can take longer than to copy it.
 */
export function storedAhead(source: DiskImage): (start: number, end: number) => Promise<readonly StoredBytes[]> {
  let coming: AsyncGenerator<StoredBytes> | undefined;
  let next: StoredBytes | undefined;
  return async (start, end) => {
    if (coming === undefined) {
      coming = storedFrom(source, start);
      next = (await coming.next()).value;
    }
    const found: StoredBytes[] = [];
    while (next !== undefined && next.start < end) {
      if (next.end > start) found.push(clipped(next, start, end));
      if (next.end > end) break;
      next = (await coming.next()).value;
    }
    return found;
  };
}

async function* storedFrom(source: DiskImage, offset: number): AsyncGenerator<StoredBytes, undefined> {
  const storedOf = storedRanges(source);
  for await (const extent of source.extents({ offset, length: source.virtualSize - offset })) {
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
