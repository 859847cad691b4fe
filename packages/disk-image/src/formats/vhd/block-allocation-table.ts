import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { DynamicHeader } from './dynamic-header.ts';
import { SECTOR_SIZE } from './limits.ts';

/** In the entry of a block that is not in the file. */
export const UNALLOCATED = 0xffffffff;

/**
 * The block allocation table: for each block of the guest disk the sector of the file where its bitmap begins, its guest
 * bytes behind it. VHD Image Format Specification 1.0, "Block Allocation Table".
 */
export interface BlockAllocationTable {
  readonly count: number;
  /** A sector number of the file, or `UNALLOCATED`. */
  entry(block: number): number;
}

/** What all entries together say. */
export interface TableSurvey {
  readonly allocated: number;
  /** Byte offset behind the last block, 0 when there is none. */
  readonly end: number;
}

/** The entries of the blocks that a disk of `diskSize` bytes needs. The table has been found inside file and limit. */
export async function readBlockAllocationTable(
  source: ByteSource,
  header: DynamicHeader,
  diskSize: number,
): Promise<BlockAllocationTable> {
  const count = Math.min(header.maxTableEntries, Math.ceil(diskSize / header.blockSize));
  const bytes = await readBytes(source, header.tableOffset, count * 4);
  const view = new DataView(bytes.buffer);
  return { count, entry: (block) => view.getUint32(block * 4) };
}

/** One pass over all entries. */
export function surveyTable(table: BlockAllocationTable, header: DynamicHeader): TableSurvey {
  let allocated = 0;
  let last = -1;
  for (let block = 0; block < table.count; block++) {
    const entry = table.entry(block);
    if (entry === UNALLOCATED) continue;
    allocated++;
    if (entry > last) last = entry;
  }
  return { allocated, end: last < 0 ? 0 : last * SECTOR_SIZE + storedBlockSize(header.blockSize) };
}

/** Bytes of the bitmap before a block, in whole sectors: one bit for each of its sectors. */
export function bitmapSize(blockSize: number): number {
  return Math.ceil(blockSize / SECTOR_SIZE / 8 / SECTOR_SIZE) * SECTOR_SIZE;
}

/** Bytes of a block in the file, its bitmap included. */
export function storedBlockSize(blockSize: number): number {
  return bitmapSize(blockSize) + blockSize;
}
