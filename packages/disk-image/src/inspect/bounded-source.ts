import type { ByteSource } from '../bytes/byte-source.ts';
import { checkInside } from '../bytes/byte-source.ts';
import { ImageError } from '../errors.ts';

/** A source that remembers whether its budget was spent. */
export interface BoundedSource extends ByteSource {
  readonly exhausted: boolean;
}

/**
 * `source` that gives at most `maxBytes` in all, then throws `unsafe`; reads past the end are `truncated`. It passes the
 * signal on to every read, and its `close` does nothing: the source stays its owner's.
 */
export function boundedSource(source: ByteSource, maxBytes: number, signal?: AbortSignal): BoundedSource {
  let remaining = maxBytes;
  let exhausted = false;
  return {
    size: source.size,
    ...(source.holes === undefined ? {} : { holes: source.holes }),
    get exhausted() {
      return exhausted;
    },
    async read(offset, into, readSignal) {
      checkInside(source.size, offset, into.length);
      if (into.length > remaining) {
        exhausted = true;
        throw new ImageError('unsafe', `To look into the file takes more than ${maxBytes} bytes of its metadata`, {
          offset,
        });
      }
      remaining -= into.length;
      await source.read(offset, into, readSignal ?? signal);
    },
    async close() {},
  };
}
