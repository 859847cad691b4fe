import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import type { RecentTables } from '../../image/recent-tables.ts';
import { recentTables } from '../../image/recent-tables.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { bitmapSize } from './block-allocation-table.ts';
import { SECTOR_SIZE } from './limits.ts';

/**
 * Which sectors of one block are stored. In a dynamic disk the others were never written and are zeros; in a
 * differencing disk they are the parent's. VHD Image Format Specification 1.0, "Data Block".
 */
export interface SectorBitmap {
  /** Are all sectors of the block stored? */
  readonly full: boolean;
  /** One bit for each sector, the highest of a byte first. */
  readonly bits: Uint8Array;
}

/** Bitmaps kept in memory: of 512 bytes in the usual blocks of 2 MiB, of 512 KiB in the largest. */
const MAX_KEPT_BITMAPS = 4;

/** The bitmaps of allocated blocks, by block number. `get` throws `truncated` when one lies beyond the file. */
export function sectorBitmaps(
  source: ByteSource,
  table: BlockAllocationTable,
  blockSize: number,
): RecentTables<SectorBitmap> {
  const size = bitmapSize(blockSize);
  const isHole = holeTest(source);
  const empty = { full: false, bits: new Uint8Array(size) };
  return recentTables(MAX_KEPT_BITMAPS, async (block) => {
    const offset = table.entry(block) * SECTOR_SIZE;
    return isHole(offset, size) ? empty : parseBitmap(await readBytes(source, offset, size), blockSize);
  });
}

/** The bitmap in whole sectors; bits behind those of the block's sectors mean nothing. */
export function parseBitmap(bits: Uint8Array, blockSize: number): SectorBitmap {
  const sectors = blockSize / SECTOR_SIZE;
  return { bits, full: runOfBits(bits, 0, sectors) === sectors && isStored(bits, 0) };
}

/** Is the sector of that number stored? */
export function isStored(bits: Uint8Array, sector: number): boolean {
  return ((bits[sector >> 3] ?? 0) & (0x80 >> (sector & 7))) !== 0;
}

/** How many bits from `first` on, before `end`, are the same as the first. */
export function runOfBits(bits: Uint8Array, first: number, end: number): number {
  const stored = isStored(bits, first);
  const wholeByte = stored ? 0xff : 0;
  let sector = first + 1;
  while (sector < end) {
    if ((sector & 7) === 0 && bits[sector >> 3] === wholeByte) sector += 8;
    else if (isStored(bits, sector) === stored) sector++;
    else break;
  }
  return Math.min(sector, end) - first;
}
