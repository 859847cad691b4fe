/** The bounds of one inspection. All have defaults; a caller with other disks sets its own. */
export interface InspectLimits {
  /** A guest disk above this is `size-bomb-virtual`, unsafe. */
  readonly maxVirtualSize: number;
  /** A guest disk this many times larger than its file, and larger than `minBombSize`, is a warning. */
  readonly maxVirtualRatio: number;
  /** Stored guest bytes this many times larger than the file are `size-bomb-ratio`: a warning, and unsafe. */
  readonly warnDataRatio: number;
  readonly maxDataRatio: number;
  /** Disks smaller than this are never called a bomb for their ratio. */
  readonly minBombSize: number;
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
  maxReadBytes: 64 * 2 ** 20,
};
