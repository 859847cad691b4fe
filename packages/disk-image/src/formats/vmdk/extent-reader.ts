import type { Extent, GuestRange } from '../../image/extent.ts';

/** The guest bytes of one extent of a disk; all offsets count from the start of the extent. */
export interface ExtentReader {
  /** Guest bytes that the extent can give. */
  readonly length: number;
  /** What `range` holds, in order, without gaps. `hostOffset` counts in the extent's own file. */
  extents(range: GuestRange): AsyncIterable<Extent> | Iterable<Extent>;
  /** Fills `into` from `offset`; the range lies inside the extent. */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
