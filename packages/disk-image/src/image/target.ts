import type { ByteSink } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import type { Details } from './finding.ts';
import type { FormatName } from './format-name.ts';
import type { ImageReference } from './reference.ts';

/**
 * How a new image will lie in its files: decided before the first byte moves, plain data, the same on every thread.
 * A format never writes guest bytes itself: it says where units go (`files`), how one unit is stored (`UnitEncoder`),
 * and writes its tables and header at the end (`FormatWriter.finish`).
 */
export interface TargetLayout {
  readonly format: FormatName;
  /** Size in bytes of the guest disk: the source's, rounded up where the format must. */
  readonly virtualSize: number;
  /** Guest bytes that are stored together: a power of two from 512 B to 2 MiB (or the format's own block size). */
  readonly unitSize: number;
  /** The files of the image, in guest order. The one with `name: ''` is the image's own; it may hold no guest bytes. */
  readonly files: readonly TargetFile[];
  /** True when the bytes must reach the file in ascending order (a stream that cannot seek back). */
  readonly ascending: boolean;
  /** True when readers look for parts of the image at the end of its file, which must then end with the image. */
  readonly endsFile?: boolean;
  /** Only for an image that stands on another one. */
  readonly overlay?: OverlayLayout;
  /** What the format's encoder and `finish` need to know, in the format's words. */
  readonly parameters: Details;
}

/** How an image stands on another one: units that it does not store are that one's. */
export interface OverlayLayout {
  readonly backing: ImageReference;
  /** What becomes of units of zeros that must hide other bytes: `marked` ones take no space, `stored` ones are data. */
  readonly zeros: 'marked' | 'stored';
}

/** One file of an image and the guest bytes it holds. */
export interface TargetFile {
  /** Empty for the image's own file, else the name of a file beside it. */
  readonly name: string;
  /** The guest bytes it holds: `[guestOffset, guestOffset + guestLength)`, multiples of `unitSize` (the end of the disk excepted). */
  readonly guestOffset: number;
  readonly guestLength: number;
  /**
   * `fixed`: the guest byte g lies verbatim at `hostOffset + (g - guestOffset)`; ranges of zeros are left unwritten.
   * `append`: units that are not all zero are stored in guest order from `hostOffset` on, each by the encoder.
   */
  readonly placement: 'fixed' | 'append';
  readonly hostOffset: number;
  /**
   * Only with `append`: host space is taken a block at a time, when the first unit of the block is stored, and a unit
   * lies at its own place within its block. Without it every stored unit follows the one before.
   */
  readonly block?: HostBlock;
}

/** Host space that is taken together. */
export interface HostBlock {
  /** Guest bytes of a block: a multiple of `unitSize`. */
  readonly size: number;
  /** Bytes of the block before its guest bytes, left for the format's own use: zeros until `finish` writes them. */
  readonly prefix: number;
  /** The host offset of a block (of its prefix) is rounded up to this. */
  readonly alignment: number;
}

/** Guest bytes that take host space together: the unit in which `FormatWriter.measure` counts data. */
export function allocationSize(layout: TargetLayout): number {
  const sizes = layout.files.map((file) => file.block?.size ?? layout.unitSize);
  return Math.max(layout.unitSize, ...sizes);
}

/** True when units of guest bytes are stored one behind the other, each where the one before ends. */
export function appends(layout: TargetLayout): boolean {
  return layout.files.some((file) => file.placement === 'append' && file.guestLength > 0);
}

/** How one unit is stored. Made once per thread; keeps no state from unit to unit. */
export interface UnitEncoder {
  /** The most bytes that `encode` may put into `into`; 0 where units are stored as they are, all of them. */
  readonly maxStoredLength: number;
  /** True where `encode` looks at the bytes of units that are stored as they are. */
  readonly looksInside?: boolean;
  /**
   * Encodes the unit (all `unitSize` bytes, zero-padded at the end of the disk).
   * The stored bytes are in `into`, or are the unit itself when `verbatim`.
   */
  encode(unit: Uint8Array, guestOffset: number, into: Uint8Array): StoredUnit;
}

/** What became of one unit. */
export interface StoredUnit {
  readonly verbatim: boolean;
  /** Bytes to write. */
  readonly length: number;
  /** The host offset is rounded up to this: a power of two, 1 for none. */
  readonly alignment: number;
  /** A number from 0 to 2^32 - 1 that the format gets back in `finish`. */
  readonly detail: number;
}

/** Units that were stored: `unitCount` units from `guestOffset` on, one after the other from `hostOffset` on. */
export interface PlacedRun {
  /** Index into `TargetLayout.files`. */
  readonly file: number;
  readonly guestOffset: number;
  readonly unitCount: number;
  readonly hostOffset: number;
  /**
   * Stored bytes of each unit; above 1 unit all are verbatim and follow each other without gap. 0 for the units of
   * zeros that an overlay marks; `hostOffset` then says nothing.
   */
  readonly storedLength: number;
  readonly detail: number;
}

/** What `finish` gets: the data is written; tables and header are not. */
export interface FinishContext {
  readonly layout: TargetLayout;
  /** One sink for each of `layout.files`. */
  readonly sinks: readonly ByteSink[];
  /** Every stored unit of the `append` files, in ascending guest order, in batches. Can be read once. */
  readonly runs: AsyncIterable<readonly PlacedRun[]>;
  /** For each file: the host offset after its last stored byte (`hostOffset` of the file when there is none). */
  readonly ends: readonly number[];
  readonly codecs: Codecs;
}
