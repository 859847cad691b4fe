import { ImageError } from '@diskmorph/disk-image';
import type { ImageErrorCode } from '@diskmorph/disk-image';
import { ImportError } from '../errors.ts';
import type { PackedError } from './reader-messages.ts';

/** The error as plain data. */
export function packError(error: unknown): PackedError {
  if (!(error instanceof Error))
    return { kind: 'other', name: 'Error', message: String(error), stack: undefined, code: undefined };
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? String(error.code) : undefined;
  const because = cause === undefined ? {} : { cause: packError(cause) };
  if (!(error instanceof ImageError)) return { kind: 'other', name, message, stack, code, ...because };
  const { format, structure, offset } = error;
  return { kind: 'image', name, message, stack, code, format, structure, offset, ...because };
}

/** The error that was packed; `reader_out_of_memory` for one that says that memory ran out. */
export function unpackError(packed: PackedError): Error {
  const { kind, message, code, format, structure, offset, cause } = packed;
  const because = cause === undefined ? {} : { cause: unpackError(cause) };
  if (kind === 'image') {
    return new ImageError(code as ImageErrorCode, message, {
      ...(format === undefined ? {} : { format }),
      ...(structure === undefined ? {} : { structure }),
      ...(offset === undefined ? {} : { offset }),
      ...because,
    });
  }
  if (packed.name === 'RangeError' && /allocation failed/i.test(message)) return outOfMemory();
  const error = new Error(message, because);
  error.name = packed.name;
  if (packed.stack !== undefined) error.stack = packed.stack;
  return code === undefined ? error : Object.assign(error, { code });
}

/** Reading the image took more memory than it may. */
export function outOfMemory(): ImportError {
  return new ImportError('reader_out_of_memory', 'Reading the image took more memory than it may take');
}
