import type { ByteSource } from '../../bytes/byte-source.ts';
import type { ExtentLine } from './descriptor.ts';
import type { ExtentReader } from './extent-reader.ts';
import { vmdkError } from './fault.ts';

/**
 * A FLAT extent: guest bytes as they are, from an offset of their file on. Throws `truncated` when the file is shorter
 * than the descriptor promises. Virtual Disk Format 5.0, "Simple Extents".
 */
export function flatExtent(source: ByteSource, line: ExtentLine): ExtentReader {
  const end = line.offset + line.length;
  if (end > source.size) {
    throw vmdkError(
      'truncated',
      `A flat extent needs ${end} bytes of its file, which ends at byte ${source.size}`,
      'flat extent',
      source.size,
    );
  }
  return {
    length: line.length,
    *extents(range) {
      const rangeEnd = range.offset + range.length;
      let position = range.offset;
      while (position < rangeEnd) {
        const found = source.holes?.nextData(line.offset + position);
        const whole = source.holes === undefined;
        const start = whole ? position : Math.min(rangeEnd, (found?.start ?? end) - line.offset);
        if (start > position) {
          const hole = { offset: position, length: start - position, hostOffset: line.offset + position };
          yield { ...hole, state: 'zero', compressed: false };
        }
        if (start >= rangeEnd) return;
        const stop = whole ? rangeEnd : Math.min(rangeEnd, (found?.end ?? end) - line.offset);
        yield {
          offset: start,
          length: stop - start,
          state: 'data',
          compressed: false,
          hostOffset: line.offset + start,
        };
        position = stop;
      }
    },
    read: (offset, into, signal) => source.read(line.offset + offset, into, signal),
    close: () => source.close(),
  };
}

/** A ZERO extent: guest bytes that are zeros and stored nowhere. */
export function zeroExtent(line: ExtentLine): ExtentReader {
  return {
    length: line.length,
    *extents(range) {
      yield { offset: range.offset, length: range.length, state: 'zero', compressed: false };
    },
    async read(_offset, into) {
      into.fill(0);
    },
    async close() {},
  };
}
