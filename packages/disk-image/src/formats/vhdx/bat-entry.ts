import { MIB } from './limits.ts';

/** The states of a payload block; 4 and 5 are reserved. [MS-VHDX] 2.5.1.1. */
export const BLOCK = {
  notPresent: 0,
  undefined: 1,
  zero: 2,
  unmapped: 3,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const;

/** The states of a sector bitmap block; the others are reserved. [MS-VHDX] 2.5.1.2. */
export const BITMAP = { notPresent: 0, present: 6 } as const;

export const ENTRY_BYTES = 8;
const STATE_MASK = 7;
/** The file offset in MiB begins here; the bits below it are reserved. */
const OFFSET_SHIFT = 20;
const OFFSET_BITS_IN_LOW_WORD = 2 ** (32 - OFFSET_SHIFT);

/** Entries of the table as they lie in the file: little-endian words of 8 bytes. */
export interface BatEntries {
  readonly count: number;
  state(index: number): number;
  /** Byte offset in the file; above 2^53 it is inexact, and outside every file. */
  hostOffset(index: number): number;
  /** The first index after `index`, at most `end`, whose entry differs: a disk may have millions that are alike. */
  runEnd(index: number, end: number): number;
}

/** The entries in `bytes`, which are not copied and begin on a multiple of 4 of their buffer. */
export function batEntries(bytes: Uint8Array): BatEntries {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  return {
    count: Math.floor(bytes.length / ENTRY_BYTES),
    state: (index) => view.getUint32(index * ENTRY_BYTES, true) & STATE_MASK,
    hostOffset(index) {
      const low = view.getUint32(index * ENTRY_BYTES, true);
      const high = view.getUint32(index * ENTRY_BYTES + 4, true);
      return (high * OFFSET_BITS_IN_LOW_WORD + (low >>> OFFSET_SHIFT)) * MIB;
    },
    runEnd(index, end) {
      const low = words[index * 2];
      const high = words[index * 2 + 1];
      let next = index + 1;
      while (next < end && words[next * 2] === low && words[next * 2 + 1] === high) next++;
      return next;
    },
  };
}

/** Writes the entry of a block in `state`; `hostOffset` is a multiple of 1 MiB, 0 for none. */
export function putEntry(view: DataView, index: number, state: number, hostOffset: number): void {
  const mib = hostOffset / MIB;
  view.setUint32(index * ENTRY_BYTES, ((mib % OFFSET_BITS_IN_LOW_WORD) * 2 ** OFFSET_SHIFT + state) >>> 0, true);
  view.setUint32(index * ENTRY_BYTES + 4, Math.floor(mib / OFFSET_BITS_IN_LOW_WORD), true);
}
