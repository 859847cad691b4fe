import type { ByteSource } from '../../bytes/byte-source.ts';
import { qcow2Error } from './qcow2-error.ts';

const CHUNK_SIZE = 65536;

/** Reads the entries of a directory one after another, whatever their length, in a bounded buffer. */
export interface EntryStream {
  /** Byte offset in the file of the next byte. */
  readonly position: number;
  /** The next `length` bytes (the caller has checked `length` against a limit), valid until the next call. */
  take(length: number): Promise<Uint8Array>;
}

/** A stream of the bytes `[start, end)`. `take` throws `truncated` beyond the file and `corrupt` beyond `end`. */
export function entryStream(
  source: ByteSource,
  area: { readonly start: number; readonly end: number; readonly structure: string },
): EntryStream {
  let position = area.start;
  let buffer = new Uint8Array(0);
  let bufferStart = area.start;
  return {
    get position() {
      return position;
    },
    async take(length) {
      const place = { structure: area.structure, offset: position };
      if (position + length > area.end)
        throw qcow2Error('corrupt', `The ${area.structure} is longer than it may be`, place);
      if (position + length > source.size) {
        throw qcow2Error('truncated', `The file ends inside the ${area.structure}`, place);
      }
      if (position + length > bufferStart + buffer.length) {
        const wanted = Math.max(length, CHUNK_SIZE);
        buffer = new Uint8Array(Math.min(wanted, area.end - position, source.size - position));
        bufferStart = position;
        await source.read(position, buffer);
      }
      const at = position - bufferStart;
      position += length;
      return buffer.subarray(at, at + length);
    },
  };
}
