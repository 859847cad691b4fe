import type { ImageErrorCode } from '../../errors.ts';
import { ImageError } from '../../errors.ts';

/** An `ImageError` of this format: `structure` as in the documentation of UDIF, `offset` in bytes in the file. */
export function dmgError(
  code: ImageErrorCode,
  message: string,
  structure: string,
  more: { readonly offset?: number; readonly cause?: unknown } = {},
): ImageError {
  return new ImageError(code, message, { format: 'dmg', structure, ...more });
}
