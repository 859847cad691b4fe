import type { ByteSink, ByteSource } from '../bytes/byte-source.ts';
import type { CheckReport, GivenOptions, OpenContext } from './format.ts';
import type { ImageReference } from './reference.ts';

/**
 * One image file that is changed in place. What the sink wrote, the source reads, and `source.size` follows the sink.
 * Nobody else writes the file meanwhile: locking is the caller's.
 */
export interface WritableImageFile {
  readonly source: ByteSource;
  readonly sink: ByteSink;
}

/**
 * Changes existing images of one format in place; what a format does not do is absent.
 *
 * The law of every change: at any moment the file is an image without corruption, whatever was written last, even when
 * writes since the last flush are lost or reordered. Space may be leaked. A write of at most 512 bytes that does not
 * cross a multiple of 512 bytes is taken to be atomic, as disks promise.
 *
 * Every function throws `unsupported` for features that it does not understand and changes nothing then; `corrupt` or
 * `truncated` when it meets damage on the way; `io` when the device fails. It neither closes the file nor keeps it.
 */
export interface FormatEditor {
  /** Sets the size of the guest disk. New bytes are zeros. Throws `out_of_bounds` for a size that cannot be. */
  resize?(file: WritableImageFile, request: ResizeRequest): Promise<void>;
  readonly snapshots?: SnapshotEditor;
  readonly bitmaps?: BitmapEditor;
  /** Opens the current state of the guest disk for writing. */
  openGuest?(file: WritableImageFile, context: OpenContext): Promise<GuestWriter>;
  /** Names another backing image, or none, without looking at either: the guest bytes change with it. */
  changeBacking?(file: WritableImageFile, backing: ImageReference | undefined): Promise<void>;
  /**
   * Forgets all guest bytes of this layer, so that every one is the backing image's. Snapshots stay. Bitmaps do not
   * record it: what the backing image was given before is not a change to those who read through this layer.
   */
  empty?(file: WritableImageFile): Promise<void>;
  /** Mends what a check finds. `leaks` only gives lost space back; `all` also mends corruption. */
  repair?(file: WritableImageFile, scope: RepairScope): Promise<RepairReport>;
  /**
   * Changes options of an existing image, in the words of the writer's options. Throws `unsupported` or
   * `out_of_bounds`, naming the option, for those that cannot change.
   */
  amend?(file: WritableImageFile, options: GivenOptions): Promise<void>;
}

/** What a disk is to become. */
export interface ResizeRequest {
  /** Bytes of the guest disk. */
  readonly virtualSize: number;
  /** A smaller disk loses guest bytes: `refuse` throws `out_of_bounds` instead. */
  readonly shrink: 'allow' | 'refuse';
  /** Space taken for the new bytes at once: none, tables, or tables and reserved or written data. Only when growing. */
  readonly preallocation: 'off' | 'metadata' | 'falloc' | 'full';
  /** Bytes of the backing image's guest disk. When it is not given, all new bytes are taken to be hidden by one. */
  readonly backingSize?: number;
}

/** Changes the internal snapshots of an image. `wanted` is a snapshot's id or name, ids first. */
export interface SnapshotEditor {
  /** Adds a snapshot of the current state and returns its id. */
  create(file: WritableImageFile, request: SnapshotRequest): Promise<string>;
  /** Makes the snapshot's bytes the current state. Throws `out_of_bounds` when there is no such snapshot. */
  apply(file: WritableImageFile, wanted: string): Promise<void>;
  /** Removes the snapshot. Throws `out_of_bounds` when there is no such snapshot. */
  delete(file: WritableImageFile, wanted: string): Promise<void>;
}

/** A snapshot to be made: the clock is the caller's. */
export interface SnapshotRequest {
  readonly name: string;
  /** Seconds since 1970. */
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
}

/** Changes the persistent bitmaps of an image. Every function throws `out_of_bounds` for a name that is not there. */
export interface BitmapEditor {
  /** Adds an empty bitmap. `granularity`: guest bytes of one bit, a power of two. Throws `out_of_bounds` for a taken name. */
  add(file: WritableImageFile, request: BitmapRequest): Promise<void>;
  remove(file: WritableImageFile, name: string): Promise<void>;
  /** Sets all bits to 0. */
  clear(file: WritableImageFile, name: string): Promise<void>;
  /** From now on the bitmap records writes. */
  enable(file: WritableImageFile, name: string): Promise<void>;
  /** From now on the bitmap records nothing. */
  disable(file: WritableImageFile, name: string): Promise<void>;
  /** Adds the bits of bitmap `from` to bitmap `into`. Throws `out_of_bounds` for disks of different sizes. */
  merge(file: WritableImageFile, into: string, from: BitmapOrigin): Promise<void>;
  /**
   * Adds copies of bitmaps of another image of the same format and disk size: names, granularities, states and bits, all
   * of them at once. Throws `out_of_bounds` for taken names and for disks of different sizes.
   */
  copy(file: WritableImageFile, source: ByteSource, names: readonly string[]): Promise<void>;
}

/** A bitmap whose bits are read. */
export interface BitmapOrigin {
  readonly name: string;
  /** Another image of the same format that has it; the changed file itself when absent. */
  readonly source?: ByteSource;
}

/** A bitmap to be made. */
export interface BitmapRequest {
  readonly name: string;
  /** Guest bytes of one bit; undefined for the format's default. */
  readonly granularity: number | undefined;
  /** `disabled` bitmaps do not record writes. */
  readonly state: 'enabled' | 'disabled';
}

/** The guest bytes of one layer, writable in whole units. */
export interface GuestWriter {
  /** Bytes of the guest disk. */
  readonly virtualSize: number;
  /** Guest bytes that are written together; 1 when any can be. */
  readonly unitSize: number;
  /** Stores whole units: both ends are multiples of `unitSize`, or the end of the disk. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes whole units zeros, which hide those of a backing image. */
  zero(offset: number, length: number): Promise<void>;
  /** Returns when all that was written is on stable storage and would be found again. */
  finish(): Promise<void>;
}

/** How much a repair may change. */
export type RepairScope = 'leaks' | 'all';

/** What a repair has done. */
export interface RepairReport {
  /** What was found before. */
  readonly before: CheckReport;
  readonly leaksFixed: number;
  readonly corruptionsFixed: number;
  /** A check of the file as it is now. */
  readonly after: CheckReport;
}
