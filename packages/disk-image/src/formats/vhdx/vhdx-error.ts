import type { ImageErrorCode } from '../../errors.ts';
import { ImageError } from '../../errors.ts';

/** An error about a VHDX file; `offset` is the byte offset in the file of what is wrong. */
export function vhdxError(code: ImageErrorCode, message: string, structure: string, offset?: number): ImageError {
  return new ImageError(code, message, { format: 'vhdx', structure, ...(offset === undefined ? {} : { offset }) });
}
