import type { ByteSource } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import type { DiskImage, ImageInfo } from './disk-image.ts';
import type { FormatEditor } from './editor.ts';
import type { Details, Finding } from './finding.ts';
import type { FormatName } from './format-name.ts';
import type { ImageReference, ReferencePolicy } from './reference.ts';
import type { FinishContext, TargetLayout, UnitEncoder } from './target.ts';

/** The beginning and the end of a file: all that a probe may look at. */
export interface ProbeInput {
  readonly size: number;
  /** The first bytes, up to `PROBE_HEAD_SIZE`. */
  readonly head: Uint8Array;
  /** The last bytes, up to `PROBE_TAIL_SIZE`. */
  readonly tail: Uint8Array;
}

export const PROBE_HEAD_SIZE: number = 128 * 1024;
export const PROBE_TAIL_SIZE: number = 4096;

/** Everything that opening an image needs from outside. */
export interface OpenContext {
  readonly codecs: Codecs;
  /** Judges every other file that the header names; `denyReferences` unless the caller chose otherwise. */
  readonly references: ReferencePolicy;
  /** Read this internal snapshot (its id or name) instead of the current state. */
  readonly snapshot?: string;
}

/** One disk image format: its specification in code. */
export interface Format {
  readonly name: FormatName;
  readonly aliases: readonly string[];
  /** Does the file bear this format's signature? Looks at magic numbers only; never throws. */
  probe(input: ProbeInput): boolean;
  /**
   * What the metadata says and everything about it that is suspicious, without refusing what `open` would refuse.
   * Reads tables, never data, and opens no other file. Throws `wrong_format`, or `corrupt`/`truncated` when not even
   * the header can be understood.
   */
  examine(source: ByteSource): Promise<Examination>;
  /** The layer in this file alone: a backing image is named in `info.backing`, not followed. Absent: recognised, not readable. */
  open?(source: ByteSource, context: OpenContext): Promise<DiskImage>;
  /** Walks all metadata and accounts for every allocated byte. */
  check?(source: ByteSource): Promise<CheckReport>;
  /**
   * Allocation units of the file (`ImageInfo.unitSize` each) that the image's own accounts say are in use, whatever for.
   * Stops counting at `most`. Throws what `examine` throws. Absent where there are no accounts.
   */
  usedUnits?(source: ByteSource, most: number): Promise<number>;
  readonly writer?: FormatWriter;
  /** Changes existing images in place. */
  readonly editor?: FormatEditor;
}

export interface Examination {
  readonly info: ImageInfo;
  readonly findings: readonly Finding[];
}

/** The result of a full metadata walk. Units as the format counts them. */
export interface CheckReport {
  /** Broken references, double use: the image cannot be trusted. */
  readonly corruptions: number;
  /** Space that is held but used by nothing: harmless. */
  readonly leaks: number;
  readonly findings: readonly Finding[];
  readonly allocatedUnits?: number;
  readonly totalUnits?: number;
  readonly compressedUnits?: number;
  readonly fragmentedUnits?: number;
  /** Byte offset after the last used byte of the file. */
  readonly imageEndOffset?: number;
}

/** Options as the caller gives them: text values, as on a command line. */
export type GivenOptions = Readonly<Record<string, string>>;

/** Documents one option of a writer. */
export interface OptionDescription {
  readonly name: string;
  readonly values: string;
  readonly default: string;
  readonly summary: string;
}

/** What a new image is to hold. */
export interface LayoutRequest {
  /** Size in bytes of the source's guest disk. */
  readonly virtualSize: number;
  readonly options: GivenOptions;
  /** The final name of the image's own file without directories; formats of several files name their parts after it. */
  readonly fileName: string;
  /** 16 bytes that identify the content or are random: every UUID and id in the target is derived from them. */
  readonly seed: Uint8Array;
  /** The image that the new one is to stand on. A format that cannot leaves `TargetLayout.overlay` out. */
  readonly backing?: ImageReference;
}

/** Writes new images of one format. */
export interface FormatWriter {
  readonly options: readonly OptionDescription[];
  /**
   * The options that make an image like the one in `source`: of its kind, with its block size and identifiers. Absent
   * where images are changed in place. Throws `unsupported` for one that cannot be made anew.
   */
  likeness?(source: ByteSource): Promise<GivenOptions>;
  /** Checks every option and decides the layout. Throws `out_of_bounds` or `unsupported`, naming option, value and choices. */
  layout(request: LayoutRequest): TargetLayout;
  encoder(layout: TargetLayout, codecs: Codecs): UnitEncoder;
  /**
   * For `ascending` layouts: the bytes before the first stored unit. The caller writes them first into a stream and
   * last into a file, so `finish` leaves them alone.
   */
  prologue?(layout: TargetLayout): Uint8Array;
  /**
   * Writes tables, then flushes, then the header: until the last write the file does not look like an image.
   * `fixed` files get no runs.
   */
  finish(context: FinishContext): Promise<void>;
  /** Bytes of the finished files together when `dataUnits` units of `allocationSize` hold data, stored uncompressed. */
  measure(
    layout: TargetLayout,
    dataUnits: number,
  ): Details & { readonly required: number; readonly fullyAllocated: number };
}
