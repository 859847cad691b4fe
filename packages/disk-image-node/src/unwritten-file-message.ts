import type { GivenOptions, UnwrittenTarget } from '@diskmorph/disk-image';
import type { PackedError } from './lane-message.ts';

/** What the thread of an unwritten file is started with; plain data. */
export interface UnwrittenFileWork {
  /** Bytes of the source, which the other thread reads. */
  readonly sourceSize: number;
  /** The format that the source is read as. */
  readonly format: string;
  readonly target: { readonly format: string; readonly options: GivenOptions; readonly fileName: string };
  /** Descriptors of files for tables and runs. */
  readonly tablesFd: number;
  readonly runsFd: number;
  /** What was planned before, when the files hold it already. */
  readonly planned: PlannedFile | undefined;
}

/** Where the bytes of an unwritten file lie; its tables and runs are in files. */
export interface PlannedFile {
  readonly target: UnwrittenTarget;
  readonly runCount: number;
}

/** A range of bytes that is asked for, with a number that its answer bears. */
export interface AskedRange {
  readonly id: number;
  readonly offset: number;
  readonly length: number;
}

/** What the thread is told. */
export type ToUnwrittenFile =
  | ({ readonly kind: 'read' } & AskedRange)
  | { readonly kind: 'source'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'source-failed'; readonly id: number; readonly error: PackedError };

/** What the thread tells. */
export type FromUnwrittenFile =
  | ({ readonly kind: 'source' } & AskedRange)
  | { readonly kind: 'progress'; readonly bytesDone: number; readonly bytesTotal: number }
  | { readonly kind: 'ready'; readonly planned: PlannedFile }
  | { readonly kind: 'bytes'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PackedError };

/** The number of what happens before anything is asked for. */
export const PLANNING_ID = 0;
