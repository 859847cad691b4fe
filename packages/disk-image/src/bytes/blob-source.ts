import { ImageError, throwIfAborted } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { checkInside } from './byte-source.ts';

/** A browser's `File` or `Blob` as a source: only the ranges that are asked for are read. */
export function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    async read(offset, into, signal) {
      throwIfAborted(signal);
      checkInside(blob.size, offset, into.length);
      try {
        into.set(new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer()));
      } catch (error) {
        throw new ImageError('io', 'The file cannot be read any more; it may have changed since it was chosen', {
          offset,
          cause: error,
        });
      }
    },
    async close() {},
  };
}
