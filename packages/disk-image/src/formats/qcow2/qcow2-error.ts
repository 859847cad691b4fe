import type { ImageErrorCode } from '../../errors.ts';
import { ImageError } from '../../errors.ts';

/** An `ImageError` of this format: `structure` in the specification's words, `offset` in bytes in the file. */
export function qcow2Error(
  code: ImageErrorCode,
  message: string,
  place: { readonly structure: string; readonly offset?: number; readonly cause?: unknown },
): ImageError {
  return new ImageError(code, message, { format: 'qcow2', ...place });
}
