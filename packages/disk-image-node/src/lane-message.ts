import type { ChunkResult, ImageErrorCode } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';

/** What a lane's thread tells the one that started it. */
export type LaneMessage =
  | { readonly kind: 'results'; readonly results: readonly ChunkResult[] }
  | { readonly kind: 'chunks'; readonly chunks: number }
  | { readonly kind: 'done'; readonly difference: number | undefined }
  | { readonly kind: 'failed'; readonly error: PackedError };

/** An error as plain data: threads cannot give each other instances of our classes. */
export interface PackedError {
  readonly message: string;
  readonly stack: string | undefined;
  /** Absent when it was not an `ImageError`, but a fault of ours. */
  readonly code?: ImageErrorCode;
  readonly format?: string | undefined;
  readonly structure?: string | undefined;
  readonly offset?: number | undefined;
}

/** The error as plain data. */
export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined };
  const { message, stack } = error;
  if (!(error instanceof ImageError)) return { message, stack };
  const { code, format, structure, offset } = error;
  return { message, stack, code, format, structure, offset };
}

/** The error again. */
export function unpackError(packed: PackedError): Error {
  if (packed.code === undefined) {
    const error = new Error(packed.message);
    if (packed.stack !== undefined) error.stack = packed.stack;
    return error;
  }
  return new ImageError(packed.code, packed.message, {
    ...(packed.format === undefined ? {} : { format: packed.format }),
    ...(packed.structure === undefined ? {} : { structure: packed.structure }),
    ...(packed.offset === undefined ? {} : { offset: packed.offset }),
  });
}
