import type { ByteSource, HoleFinder } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';

/**
 * A part of a source as a source of its own; closing it closes the whole. Throws `truncated` when the source ends before
 * the part, which the caller may name in bytes or leave open at the end.
 */
export function windowSource(
  source: ByteSource,
  window: { readonly offset: number; readonly size?: number },
): ByteSource {
  const { offset } = window;
  const size = window.size ?? source.size - offset;
  if (size < 0 || offset + size > source.size) {
    throw new ImageError(
      'truncated',
      `The file has ${source.size} bytes, and bytes ${offset} to ${offset + Math.max(0, size)} are asked for`,
    );
  }
  const { holes } = source;
  return {
    size,
    read: (at, into, signal) => {
      if (at < 0 || at + into.length > size) {
        throw new ImageError(
          'truncated',
          `The part ends at byte ${size}, but bytes ${at} to ${at + into.length} are needed`,
        );
      }
      return source.read(offset + at, into, signal);
    },
    ...(holes === undefined ? {} : { holes: windowHoles(holes, offset, size) }),
    close: () => source.close(),
  };
}

function windowHoles(holes: HoleFinder, offset: number, size: number): HoleFinder {
  return {
    nextData(at) {
      const found = holes.nextData(offset + at);
      if (found === undefined || found.start >= offset + size) return undefined;
      return { start: found.start - offset, end: Math.min(found.end - offset, size) };
    },
  };
}
