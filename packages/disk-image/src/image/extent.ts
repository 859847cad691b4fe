import { assert } from '../errors.ts';

/**
 * What one layer knows about a run of guest bytes. `data`: stored here. `zero`: this layer says zeros.
 * `absent`: this layer says nothing, so the backing image decides (zeros when there is none).
 */
export type ExtentState = 'data' | 'zero' | 'absent';

/** A run of guest bytes, `offset` and `length` in bytes. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly state: ExtentState;
  readonly compressed: boolean;
  /** Byte offset in the image file when the bytes are stored verbatim there; for `zero` and `absent`, space kept for them. */
  readonly hostOffset?: number;
  /** The name of the file that `hostOffset` counts in, as the header has it; absent for the image's own file. */
  readonly hostFile?: string;
  /** 0 for the image itself, 1 for its backing image, and so on. */
  readonly depth?: number;
}

/** A half-open range of guest bytes. */
export interface GuestRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * The one place that makes extents lawful: clips them to `range`, merges neighbours that continue each other
 * (in guest and in host space), drops empty ones, and fails on a gap or an overlap, which would be a bug of the format.
 */
export async function* normalizeExtents(
  range: GuestRange,
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): AsyncGenerator<Extent> {
  const end = range.offset + range.length;
  let position = range.offset;
  let pending: Extent | undefined;
  for await (const extent of extents) {
    const clipped = clip(extent, range);
    if (clipped.length <= 0) continue;
    assert(clipped.offset === position, `extents leave no gap and do not overlap at ${position}`);
    position += clipped.length;
    if (pending !== undefined && continues(pending, clipped)) {
      pending = { ...pending, length: pending.length + clipped.length };
    } else {
      if (pending !== undefined) yield pending;
      pending = clipped;
    }
    if (position >= end) break;
  }
  if (pending !== undefined) yield pending;
  assert(position === end || range.length === 0, `extents reach the end of the range at ${end}`);
}

function clip(extent: Extent, range: GuestRange): Extent {
  const start = Math.max(extent.offset, range.offset);
  const end = Math.min(extent.offset + extent.length, range.offset + range.length);
  if (start === extent.offset && end === extent.offset + extent.length) return extent;
  const clipped = { ...extent, offset: start, length: end - start };
  if (extent.hostOffset === undefined || extent.compressed) return clipped;
  return { ...clipped, hostOffset: extent.hostOffset + (start - extent.offset) };
}

function continues(first: Extent, second: Extent): boolean {
  if (first.state !== second.state || first.compressed !== second.compressed || first.depth !== second.depth)
    return false;
  if (first.hostFile !== second.hostFile) return false;
  if (first.hostOffset === undefined || second.hostOffset === undefined) return first.hostOffset === second.hostOffset;
  return !first.compressed && first.hostOffset + first.length === second.hostOffset;
}
