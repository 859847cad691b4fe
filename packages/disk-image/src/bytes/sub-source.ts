import type { ByteSource } from './byte-source.ts';
import { checkInside } from './byte-source.ts';

/**
 * `length` bytes of `source` from `offset` on, as a source of its own; nothing is copied. Closing it leaves `source` open.
 * Throws `truncated` when they are not all there.
 */
export function subSource(source: ByteSource, offset: number, length: number): ByteSource {
  checkInside(source.size, offset, length);
  const { holes } = source;
  const found = (at: number): { readonly start: number; readonly end: number } | undefined => {
    const data = holes?.nextData(offset + at);
    if (data === undefined || data.start >= offset + length) return undefined;
    return { start: Math.max(at, data.start - offset), end: Math.min(length, data.end - offset) };
  };
  return {
    size: length,
    async read(at, into, signal) {
      checkInside(length, at, into.length);
      await source.read(offset + at, into, signal);
    },
    ...(holes === undefined ? {} : { holes: { nextData: found } }),
    async close() {},
  };
}
