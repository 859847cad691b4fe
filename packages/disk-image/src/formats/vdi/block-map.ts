import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { VdiHeader } from './header.ts';

/** Entries of blocks that are stored nowhere. */
export const NOT_ALLOCATED = 0xffffffff;
export const ALL_ZEROS = 0xfffffffe;

/** The block map: for each block of the guest disk the number of its block in the file. */
export interface BlockMap {
  readonly count: number;
  /** A block number, `NOT_ALLOCATED` or `ALL_ZEROS`. */
  entry(block: number): number;
}

/** What all entries together say. */
export interface BlockMapSurvey {
  readonly allocated: number;
  /** The largest block number, -1 when no block is stored. */
  readonly last: number;
}

/** The map of the blocks that the disk needs. The header's table has been found inside the file and its limit. */
export async function readBlockMap(source: ByteSource, header: VdiHeader): Promise<BlockMap> {
  const count = Math.min(header.blockCount, Math.ceil(header.diskSize / header.blockSize));
  const bytes = await readBytes(source, header.blockMapOffset, count * 4);
  const view = new DataView(bytes.buffer);
  return { count, entry: (block) => view.getUint32(block * 4, true) };
}

/** Is the block of this entry stored in the file? */
export function isStored(entry: number): boolean {
  return entry < ALL_ZEROS;
}

/** One pass over all entries. */
export function surveyBlockMap(map: BlockMap): BlockMapSurvey {
  let allocated = 0;
  let last = -1;
  for (let block = 0; block < map.count; block++) {
    const entry = map.entry(block);
    if (!isStored(entry)) continue;
    allocated++;
    if (entry > last) last = entry;
  }
  return { allocated, last };
}

/** Bytes of a block in the file: its guest bytes and what the format may keep before them. */
export function storedBlockSize(header: VdiHeader): number {
  return header.blockExtraSize + header.blockSize;
}

/** Byte offset of the guest bytes of a stored block. */
export function blockOffset(header: VdiHeader, entry: number): number {
  return header.dataOffset + entry * storedBlockSize(header) + header.blockExtraSize;
}
