import type { ByteSource } from '../../bytes/byte-source.ts';
import { recentTables } from '../../image/recent-tables.ts';
import { BITMAP } from './bat-entry.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { PAGE_ENTRIES } from './block-allocation-table.ts';
import { bitmapIndex } from './geometry.ts';
import { MIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

/** At most 64 KiB each: the part of a sector bitmap for one payload block of 256 MiB. */
const MAX_BITMAPS = 16;
const BITS = 8;

/** Says of a partially present block which of its sectors this file holds. */
export interface SectorBitmaps {
  /** One bit a sector of the payload block, bit 0 of byte 0 first; 1 when the sector is in this file. */
  get(block: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** The bitmaps that the table places. `get` throws `corrupt` when a chunk has none, `truncated`. [MS-VHDX] 2.4. */
export function sectorBitmaps(source: ByteSource, table: BlockAllocationTable): SectorBitmaps {
  const { geometry } = table;
  const length = geometry.blockSize / geometry.sectorSize / BITS;
  return recentTables(MAX_BITMAPS, async (block, signal) => {
    const chunk = Math.floor(block / geometry.chunkRatio);
    const index = bitmapIndex(geometry, chunk);
    const entries = await table.page(Math.floor(index / PAGE_ENTRIES), signal);
    const hostOffset = entries.hostOffset(index % PAGE_ENTRIES);
    if (entries.state(index % PAGE_ENTRIES) !== BITMAP.present || hostOffset < MIB) {
      throw vhdxError('corrupt', `Payload block ${block} is in parts, but has no sector bitmap`, 'sector bitmap');
    }
    const bitmap = new Uint8Array(length);
    await source.read(hostOffset + (block % geometry.chunkRatio) * length, bitmap, signal);
    return bitmap;
  });
}

/** The first sector after `first`, at most `end`, whose bit differs from that of `first`. */
export function sectorRunEnd(bitmap: Uint8Array, first: number, end: number): number {
  const isPresent = sectorIsPresent(bitmap, first);
  const wholeByte = isPresent ? 0xff : 0;
  let sector = first + 1;
  while (sector < end) {
    if (sector % BITS === 0 && bitmap[sector / BITS] === wholeByte) sector += BITS;
    else if (sectorIsPresent(bitmap, sector) === isPresent) sector++;
    else return sector;
  }
  return end;
}

/** Does this file hold the sector? */
export function sectorIsPresent(bitmap: Uint8Array, sector: number): boolean {
  return (((bitmap[Math.floor(sector / BITS)] ?? 0) >> (sector % BITS)) & 1) !== 0;
}
