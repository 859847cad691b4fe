import { MAX_CHECKED_FILE_MIB, MIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

/** Which MiB of a file are in use: one bit each. Everything in a VHDX file lies on whole MiB. */
export interface SpaceMap {
  readonly fileSize: number;
  /** Marks the range, as far as it is inside the file; `taken` when a part of it was marked before. */
  take(offset: number, length: number): 'free' | 'taken';
  /** Marks the range without minding what was marked before. */
  hold(offset: number, length: number): void;
  /** Byte offset after the last that is marked. */
  end(): number;
}

/** A map of nothing. Throws `unsupported` for a file above 128 TiB. */
export function spaceMap(fileSize: number): SpaceMap {
  const units = Math.ceil(fileSize / MIB);
  if (units > MAX_CHECKED_FILE_MIB) {
    throw vhdxError('unsupported', `A file of ${fileSize} bytes is too large to be checked`, 'file');
  }
  const bits = new Uint8Array(Math.ceil(units / 8));
  let lastUnit = -1;
  const mark = (offset: number, length: number): 'free' | 'taken' => {
    let found: 'free' | 'taken' = 'free';
    const end = Math.min(units, Math.ceil((offset + length) / MIB));
    for (let unit = Math.floor(offset / MIB); unit < end; unit++) {
      const bit = 1 << (unit & 7);
      const byte = bits[unit >> 3] ?? 0;
      if ((byte & bit) !== 0) found = 'taken';
      else bits[unit >> 3] = byte | bit;
      lastUnit = Math.max(lastUnit, unit);
    }
    return found;
  };
  return {
    fileSize,
    take: mark,
    hold: (offset, length) => void mark(offset, length),
    end: () => Math.min(fileSize, (lastUnit + 1) * MIB),
  };
}
