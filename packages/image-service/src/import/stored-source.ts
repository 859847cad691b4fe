import type { ByteSource } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import type { ImageStore } from '../store/store.ts';

/** Bytes that are fetched at once, and kept until others are asked for. */
const WINDOW_SIZE = 1024 * 1024;

/** The bytes at a place of a store, readable at any position. */
export function storedSource(store: ImageStore, location: string, size: number): ByteSource {
  let windowStart = 0;
  let window: Uint8Array = new Uint8Array(0);
  const fetchRange = async (offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    let done = 0;
    for await (const piece of store.read(location, { offset, length }, signal)) {
      bytes.set(piece, done);
      done += piece.length;
    }
    if (done !== length) throw new ImageError('truncated', 'The stored data ends early');
    return bytes;
  };
  return {
    size,
    async read(offset, into, signal) {
      if (offset + into.length > size) throw new ImageError('truncated', 'The stored data ends early');
      if (into.length >= WINDOW_SIZE) {
        into.set(await fetchRange(offset, into.length, signal));
        return;
      }
      if (offset < windowStart || offset + into.length > windowStart + window.length) {
        const fetched = await fetchRange(offset, Math.min(WINDOW_SIZE, size - offset), signal);
        into.set(fetched.subarray(0, into.length));
        windowStart = offset;
        window = fetched;
        return;
      }
      into.set(window.subarray(offset - windowStart, offset - windowStart + into.length));
    },
    close: async () => {},
  };
}
