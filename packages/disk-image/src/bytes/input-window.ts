import { ImageError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';

/** Bytes in pieces, in order. A piece is valid only until the next one is asked for. */
export type ByteStream = AsyncIterable<Uint8Array>;

/** A source read once from front to end, with a look ahead as far as a decoder wants. */
export interface InputWindow {
  /** Bytes consumed so far. */
  readonly position: number;
  /** At least `count` bytes from here on, fewer only where the input ends. A view, valid until the next call. */
  peek(count: number): Promise<Uint8Array>;
  /** The same, but throws `truncated` naming `structure` when fewer are there. Exactly `count` bytes. */
  need(count: number, structure: string): Promise<Uint8Array>;
  /** Moves on by `count` bytes that were peeked at. */
  consume(count: number): void;
  /** True when nothing is left. */
  atEnd(): boolean;
}

const READ_BYTES = 256 * 1024;

/** A window over all of `source`. `signal` cancels its reads. */
export function inputWindow(source: ByteSource, signal?: AbortSignal): InputWindow {
  let buffer = new Uint8Array(READ_BYTES);
  let start = 0;
  let end = 0;
  let loaded = 0;
  const makeRoom = (count: number): void => {
    if (start + count <= buffer.length) return;
    const larger = count > buffer.length ? new Uint8Array(count + READ_BYTES) : buffer;
    larger.set(buffer.subarray(start, end));
    buffer = larger;
    end -= start;
    start = 0;
  };
  const fill = async (count: number): Promise<void> => {
    makeRoom(count);
    while (end - start < count && loaded < source.size) {
      const length = Math.min(buffer.length - end, source.size - loaded);
      await source.read(loaded, buffer.subarray(end, end + length), signal);
      loaded += length;
      end += length;
    }
  };
  const ahead = {
    position: 0,
    async peek(count: number): Promise<Uint8Array> {
      if (end - start < count) await fill(count);
      return buffer.subarray(start, end);
    },
    async need(count: number, structure: string): Promise<Uint8Array> {
      if (end - start < count) await fill(count);
      if (end - start >= count) return buffer.subarray(start, start + count);
      throw new ImageError('truncated', `The input ends at byte ${source.size}, inside the ${structure}`, {
        structure,
        offset: ahead.position,
      });
    },
    consume(count: number): void {
      start += count;
      ahead.position += count;
    },
    atEnd: () => ahead.position >= source.size,
  };
  return ahead;
}
