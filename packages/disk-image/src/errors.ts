/**
 * The stable error codes of the core. Callers branch on these, never on text.
 *
 * - `wrong_format`: the bytes are not of the format they were opened as.
 * - `unsupported`: valid, but uses something this reader or writer does not do; the message names it.
 * - `corrupt`: the bytes break the format's specification.
 * - `truncated`: the file ends before data that it promises.
 * - `unsafe`: refused by a safety rule (a reference that no policy allows, a size bomb).
 * - `out_of_bounds`: the caller asked for guest bytes outside the disk, or gave an option out of range.
 * - `io`: the operating system failed (full disk, read error, vanished file); `cause` keeps its error.
 * - `aborted`: cancelled by the caller's signal.
 */
export type ImageErrorCode =
  | 'wrong_format'
  | 'unsupported'
  | 'corrupt'
  | 'truncated'
  | 'unsafe'
  | 'out_of_bounds'
  | 'io'
  | 'aborted';

/** Where in which structure the fault lies. Offsets are byte offsets in the file. */
export interface ImageErrorContext {
  readonly format?: string;
  readonly structure?: string;
  readonly offset?: number;
  readonly cause?: unknown;
}

/** Bad input or a failing device, never a bug of ours (that is a failed assertion). */
export class ImageError extends Error {
  readonly code: ImageErrorCode;
  readonly format: string | undefined;
  readonly structure: string | undefined;
  readonly offset: number | undefined;

  constructor(code: ImageErrorCode, message: string, context: ImageErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'ImageError';
    this.code = code;
    this.format = context.format;
    this.structure = context.structure;
    this.offset = context.offset;
  }
}

/** Fails with a plain Error: a broken promise inside diskmorph itself, not bad input. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${what}`);
}

/** Throws `aborted` when the signal has fired; its reason is kept as the cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageError('aborted', 'The operation was cancelled', { cause: signal.reason });
}
