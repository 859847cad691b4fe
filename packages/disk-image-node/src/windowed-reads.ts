import type { ByteSource } from '@diskmorph/disk-image';
import { checkInside } from '@diskmorph/disk-image';

/** Bytes that are fetched together. */
const WINDOW_SIZE: number = 2 ** 20;
/** Windows that are kept: those that are read from, and the next one. */
const MAX_WINDOWS = 4;

/**
 * A source over fetches that each take a while: whole windows are fetched, and the next one while one is read in order.
 */
export function windowedReads(
  size: number,
  fetchRange: (offset: number, length: number) => Promise<Uint8Array>,
): ByteSource {
  const windows = new Map<number, Promise<Uint8Array>>();
  let last = -1;
  const windowAt = (index: number): Promise<Uint8Array> => {
    const offset = index * WINDOW_SIZE;
    const window = windows.get(index) ?? fetchRange(offset, Math.min(WINDOW_SIZE, size - offset));
    // The least recently used comes first.
    windows.delete(index);
    windows.set(index, window);
    for (const oldest of windows.keys()) {
      if (windows.size <= MAX_WINDOWS) break;
      windows.delete(oldest);
    }
    return window;
  };
  const wanted = (index: number): Promise<Uint8Array> => {
    const isNext = index === last + 1;
    if (index !== last && isNext && (index + 1) * WINDOW_SIZE < size) {
      // Whoever reads it hears of its failure.
      windowAt(index + 1).catch(() => {});
    }
    last = index;
    return windowAt(index);
  };
  return {
    size,
    async read(offset, into) {
      checkInside(size, offset, into.length);
      for (let done = 0; done < into.length;) {
        const index = Math.floor((offset + done) / WINDOW_SIZE);
        const from = offset + done - index * WINDOW_SIZE;
        const part = (await wanted(index)).subarray(from, from + into.length - done);
        into.set(part, done);
        done += part.length;
      }
    },
    close: async () => {},
  };
}
