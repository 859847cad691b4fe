import type { ByteSource, HoleFinder } from '../bytes/byte-source.ts';
import type { Extent, GuestRange } from './extent.ts';
import type { Details } from './finding.ts';
import type { FormatName } from './format-name.ts';
import type { ImageReference } from './reference.ts';

/** An internal snapshot as its image lists it. */
export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  /** Size in bytes of the saved machine state, 0 for a disk-only snapshot. */
  readonly vmStateSize: number;
  /** Seconds since 1970. */
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: number;
  /** Guest instructions executed, when the image records it. */
  readonly icount?: number;
  /** Size in bytes of the virtual disk when the snapshot was taken, when recorded. */
  readonly virtualSize?: number;
}

/** What the metadata of an image says, as plain data. */
export interface ImageInfo {
  readonly format: FormatName;
  readonly subformat?: string;
  /** Size in bytes of the disk that the guest sees. */
  readonly virtualSize: number;
  /** Guest bytes that the format allocates together, when it allocates. */
  readonly unitSize?: number;
  readonly backing?: ImageReference;
  /** What an image that stands on this one records to know it again: changes when the guest bytes change. */
  readonly linkId?: string;
  /** Every file the header names, the backing one included. */
  readonly references: readonly ImageReference[];
  /** The name of the encryption method, when the guest bytes are encrypted. */
  readonly encryption?: string;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly snapshots: readonly SnapshotInfo[];
  /** Facts in the format's own words, for people and for `info --json`. */
  readonly details: Details;
}

/** The guest bytes of one disk, readable at any position. */
export interface DiskImage {
  readonly info: ImageInfo;
  readonly virtualSize: number;
  /** The map of `range` in order, without gaps. Reads tables, never data. */
  extents(range: GuestRange): AsyncIterable<Extent>;
  /** The holes of the file that `hostOffset` of an extent with neither `hostFile` nor `depth` counts in, when it can be told. */
  readonly holes?: HoleFinder;
  /** The file itself, for those who copy stored bytes from where they lie; as `holes`, absent where no one file is it. */
  readonly file?: ByteSource;
  /**
   * Fills all of `into` with the guest bytes at `offset`. Bytes that this image leaves `absent` are zeros.
   * Throws `out_of_bounds` when the range leaves the disk, `truncated` or `corrupt` when the file fails it.
   */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
