/** The bounds of one inspection. All have defaults; a caller with other disks sets its own. */
export interface InspectLimits {
  /** A guest disk above this is `size-bomb-virtual`, unsafe. */
  readonly maxVirtualSize: number;
  /** A guest disk this many times larger than its file, and larger than `minBombSize`, is a warning. */
  readonly maxVirtualRatio: number;
  /** Stored guest bytes of `minBombSize`, so many times larger than what the file stores, are `size-bomb-ratio`: a warning. */
  readonly warnDataRatio: number;
  /** The same of `minDataBombSize`: unsafe. */
  readonly maxDataRatio: number;
  /** Disks smaller than this are no reason for a warning about their ratio. */
  readonly minBombSize: number;
  /** Fewer stored guest bytes than this are never called a bomb. */
  readonly minDataBombSize: number;
  /** Bytes that the whole inspection may read of the file. */
  readonly maxReadBytes: number;
}

export const DEFAULT_LIMITS: InspectLimits = {
  // The largest disk that any current format specifies (64 TiB).
  maxVirtualSize: 64 * 2 ** 40,
  maxVirtualRatio: 10_000,
  warnDataRatio: 100,
  // deflate can not exceed 1032:1.
  maxDataRatio: 1100,
  minBombSize: 64 * 2 ** 30,
  minDataBombSize: 2 ** 30,
  maxReadBytes: 64 * 2 ** 20,
};
