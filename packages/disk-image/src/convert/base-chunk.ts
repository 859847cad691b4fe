import type { DiskImage } from '../image/disk-image.ts';
import { readPadded } from './unit-walk.ts';

/** What the guest would see in one chunk if the target stored nothing. Made once and reused for chunk after chunk. */
export interface BaseChunk {
  /** Reads the chunk at `offset`; beyond the end of the base are zeros. */
  load(offset: number, signal?: AbortSignal): Promise<void>;
  /** After `load`: is it the same as `guest` in this range, whose bounds are multiples of 4? */
  isSame(start: number, end: number): boolean;
}

/** The chunks of `base` beside those in `guest`, which begins at a multiple of 4 in its memory. */
export function baseChunk(base: DiskImage, guest: Uint8Array): BaseChunk {
  const bytes = new Uint8Array(guest.length);
  const wanted = new Int32Array(guest.buffer, guest.byteOffset, guest.length >> 2);
  const shown = new Int32Array(bytes.buffer);
  return {
    load: (offset, signal) => readPadded(base, offset, bytes, signal),
    isSame(start, end) {
      for (let i = start >> 2; i < end >> 2; i++) if (wanted[i] !== shown[i]) return false;
      return true;
    },
  };
}
