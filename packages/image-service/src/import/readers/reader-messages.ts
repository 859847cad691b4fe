import type { Verdict } from '@diskmorph/disk-image';
import type { PlannedFile } from '@diskmorph/disk-image-node';
import type { ConversionForecast, ConversionOutcome, FormatOrder, ImageFile, ToolConversion } from '../image-tools.ts';

/** Bytes that the service hands to a reader as they are asked for. */
export interface HandedSource {
  /** By which the reader names it. */
  readonly source: number;
  readonly size: number;
}

/** What an inspection is told. */
export interface InspectionOrder {
  readonly declared?: string;
  readonly fileName?: string;
  readonly maxVirtualSize: number;
}

/** What a reader can be asked: the arguments and the answer of each call, all of them plain data. */
export interface ReaderCalls {
  inspectSource: { readonly of: HandedSource & InspectionOrder; readonly gives: Verdict };
  isPacked: { readonly of: { readonly path: string }; readonly gives: boolean };
  inspectPacked: {
    readonly of: {
      readonly path: string;
      readonly entry: string | null;
      readonly directory: string;
      readonly maxVirtualSize: number;
    };
    readonly gives: Verdict;
  };
  unpack: {
    readonly of: {
      readonly from: string;
      readonly to: string;
      readonly entry: string | null;
      readonly maxBytes: number;
      readonly maxRatio?: number;
    };
    readonly gives: { readonly sizeBytes: number };
  };
  forecast: { readonly of: ToolConversion; readonly gives: ConversionForecast };
  convert: { readonly of: ToolConversion & { readonly checkpointDir: string }; readonly gives: ConversionOutcome };
  verify: {
    readonly of: ImageFile & { readonly expected: Pick<ConversionOutcome, 'contentId' | 'virtualSize'> };
    readonly gives: null;
  };
  /** Once in a process; `streamedBytes`: the image does not lie in a file but is asked for, and has so many bytes. */
  openInFormat: {
    readonly of: Pick<FormatOrder, 'format' | 'target' | 'planned'> & { readonly streamedBytes: number | null };
    readonly gives: PlannedFile;
  };
  /** Afterwards; the bytes go into a pipe of their own. */
  sendRange: { readonly of: { readonly offset: number; readonly length: number }; readonly gives: null };
}

/** Descriptors of a reader, beside those of every process and the channel for messages. */
export const READER_FDS = {
  /** A pipe whose other end is the service's alone: it ends when the service does. */
  lifeline: 4,
  /** Of a reader that makes images in other formats: takes their bytes. */
  bytes: 5,
  tables: 6,
  runs: 7,
  /** The image: its file, or a pipe that brings what is asked for of it. */
  source: 8,
} as const;

/** A failure as it crosses the border between processes. */
export interface PackedError {
  readonly kind: 'image' | 'other';
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  readonly format?: string | undefined;
  readonly structure?: string | undefined;
  readonly offset?: number | undefined;
  readonly cause?: PackedError | undefined;
}

/** From the service to a reader. */
export type ToReader =
  | { readonly call: number; readonly method: keyof ReaderCalls; readonly of: unknown }
  | { readonly abort: number }
  | { readonly handed: number; readonly bytes: Uint8Array }
  | { readonly handed: number; readonly room: true }
  | { readonly handed: number; readonly error: PackedError };

/** From a reader to the service. */
export type FromReader =
  | { readonly ready: true }
  | { readonly call: number; readonly gives: unknown }
  | { readonly call: number; readonly error: PackedError }
  | { readonly call: number; readonly done: number; readonly total: number }
  | { readonly wanted: number; readonly source: number; readonly offset: number; readonly length: number }
  | { readonly wanted: number; readonly call: number; readonly room: number }
  /** Comes through the pipe of the image; only a failure is answered. */
  | { readonly wanted: number; readonly streamed: { readonly offset: number; readonly length: number } };

/** Most bytes that a reader may ask for at once. */
export const MAX_HANDED_BYTES: number = 64 * 2 ** 20;
