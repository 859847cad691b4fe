import type { FileRange } from '@diskmorph/disk-image';
import type { ForeignFunctions } from './system-calls.ts';

/** What of an open file is in memory, and comes there. Nothing waits, nothing fails. */
export interface ReadAhead {
  isInMemory(fd: number, offset: number): boolean;
  /** Has the system read the ranges into memory, unless the first of them is there already. */
  begin(fd: number, ranges: readonly FileRange[]): void;
}

const RWF_NOWAIT = 8;
/** The system begins with no more than this at once on devices that take little at once. */
const PIECE_SIZE = 128 * 1024;

/** Linux's readahead(2); a byte is in memory that can be read without waiting, preadv2(2). */
export function readAheads(ffi: ForeignFunctions): ReadAhead {
  const { functions } = ffi.dlopen('libc.so.6', {
    preadv2: { arguments: ['i32', 'buffer', 'i32', 'i64', 'i32'], return: 'i64' },
    readahead: { arguments: ['i32', 'i64', 'u64'], return: 'i64' },
  });
  /** A `struct iovec`, address and length, and behind it the byte that it points to: memory that stays where it is. */
  const vector = new BigUint64Array(new ArrayBuffer(24));
  const argument = new Uint8Array(vector.buffer);
  vector.set([ffi.getRawPointer(argument) + 16n, 1n]);
  const isInMemory: ReadAhead['isInMemory'] = (fd, offset) =>
    functions.preadv2(fd, argument, 1, BigInt(offset), RWF_NOWAIT) >= 0n;
  return {
    isInMemory,
    begin(fd, ranges) {
      const [first] = ranges;
      if (first === undefined || isInMemory(fd, first.offset)) return;
      for (const { offset, length } of ranges) {
        for (let done = 0; done < length; done += PIECE_SIZE) {
          functions.readahead(fd, BigInt(offset + done), BigInt(Math.min(PIECE_SIZE, length - done)));
        }
      }
    },
  };
}
