import { SECTORS_PER_BITMAP_BLOCK } from './limits.ts';
import type { Metadata } from './metadata-table.ts';

/** How the entries of the block allocation table stand for the disk. [MS-VHDX] 2.4 and 2.5. */
export interface Geometry {
  /** Guest bytes of a payload block. */
  readonly blockSize: number;
  readonly diskSize: number;
  readonly sectorSize: number;
  readonly hasParent: boolean;
  /** Payload blocks for each sector bitmap block: after so many entries, the table has one for their bitmap. */
  readonly chunkRatio: number;
  readonly payloadBlocks: number;
  /** Entries that the disk needs, those of sector bitmap blocks counted in. */
  readonly entries: number;
}

/** What the sizes come to; they have been judged before. */
export function geometryOf(
  sizes: Pick<Metadata, 'blockSize' | 'diskSize' | 'logicalSectorSize' | 'hasParent'>,
): Geometry {
  const { blockSize, diskSize, logicalSectorSize, hasParent } = sizes;
  const chunkRatio = Math.floor((SECTORS_PER_BITMAP_BLOCK * logicalSectorSize) / blockSize);
  const payloadBlocks = Math.ceil(diskSize / blockSize);
  const chunks = Math.ceil(payloadBlocks / chunkRatio);
  const entries = hasParent ? chunks * (chunkRatio + 1) : payloadBlocks + Math.max(0, chunks - 1);
  return { blockSize, diskSize, sectorSize: logicalSectorSize, hasParent, chunkRatio, payloadBlocks, entries };
}

/** The index in the table of a payload block's entry. */
export function payloadIndex({ chunkRatio }: Geometry, block: number): number {
  return block + Math.floor(block / chunkRatio);
}

/** The index in the table of the entry for the sector bitmap of a chunk. */
export function bitmapIndex({ chunkRatio }: Geometry, chunk: number): number {
  return chunk * (chunkRatio + 1) + chunkRatio;
}

/** The payload block whose entry has that index; for the entry of a sector bitmap, the block after its chunk. */
export function blockOfIndex({ chunkRatio }: Geometry, index: number): number {
  return index - Math.floor(index / (chunkRatio + 1));
}

/** Does this entry stand for a sector bitmap block? */
export function isBitmapIndex({ chunkRatio }: Geometry, index: number): boolean {
  return index % (chunkRatio + 1) === chunkRatio;
}
