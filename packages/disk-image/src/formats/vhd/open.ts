import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import { normalizeExtents } from '../../image/extent.ts';
import { extentsWithHoles } from '../../image/file-holes.ts';
import type { OpenContext } from '../../image/format.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { RecentTables } from '../../image/recent-tables.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { bitmapSize, readBlockAllocationTable, UNALLOCATED } from './block-allocation-table.ts';
import { examineVhd, readAnatomy } from './examine.ts';
import { SECTOR_SIZE } from './limits.ts';
import type { SectorBitmap } from './sector-bitmap.ts';
import { isStored, runOfBits, sectorBitmaps } from './sector-bitmap.ts';

/**
 * Opens fixed, dynamic and differencing disks; the parent of the last is named in `info.backing`. Throws for what
 * `examine` finds unsafe, a differencing parent aside: `truncated`, `corrupt`, `unsupported`, `unsafe`.
 */
export async function openVhd(source: ByteSource, context: OpenContext): Promise<DiskImage> {
  if (context.snapshot !== undefined) {
    throw new ImageError('unsupported', 'A VHD holds no internal snapshots', { format: 'vhd' });
  }
  const { info, findings } = await examineVhd(source);
  refuseUnsafe(
    'vhd',
    findings.filter(({ code }) => code !== 'differencing-parent'),
  );
  const disk = mappedImage(source, info, await guestMap(source));
  if (info.subformat !== 'fixed') return disk;
  return { ...disk, extents: (range) => normalizeExtents(range, extentsWithHoles(source, disk.extents(range))) };
}

async function guestMap(source: ByteSource): Promise<GuestMap> {
  const { footer, header } = await readAnatomy(source);
  if (header === undefined) {
    return { run: async (offset, end) => ({ state: 'data', length: end - offset, hostOffset: offset }) };
  }
  const { blockSize } = header;
  const table = await readBlockAllocationTable(source, header, footer.diskSize);
  const missing = footer.diskType === 'differencing' ? 'absent' : 'zero';
  return dynamicMap({ blockSize, table, bitmaps: sectorBitmaps(source, table, blockSize), missing });
}

interface Blocks {
  readonly blockSize: number;
  readonly table: BlockAllocationTable;
  readonly bitmaps: RecentTables<SectorBitmap>;
  /** What sectors are that are not stored: the parent's, or zeros where there is none. */
  readonly missing: 'absent' | 'zero';
}

function dynamicMap(blocks: Blocks): GuestMap {
  const { blockSize, table, bitmaps } = blocks;
  return {
    async run(offset, end, signal) {
      const block = Math.floor(offset / blockSize);
      if (table.entry(block) === UNALLOCATED) return unallocatedRun(blocks, offset, end);
      const bitmap = await bitmaps.get(block, signal);
      const start = block * blockSize;
      return bitmapRun(bitmap, {
        hostOffset: table.entry(block) * SECTOR_SIZE + bitmapSize(blockSize),
        from: offset - start,
        to: Math.min(end - start, blockSize),
        missing: blocks.missing,
      });
    },
  };
}

function unallocatedRun({ blockSize, table, missing }: Blocks, offset: number, end: number): GuestRun {
  let next = Math.floor(offset / blockSize) + 1;
  while (next * blockSize < end && table.entry(next) === UNALLOCATED) next++;
  return { state: missing, length: Math.min(end, next * blockSize) - offset };
}

/** A part of a block, in bytes from the block's beginning. */
interface BlockPart {
  /** Where the block's guest bytes begin in the file. */
  readonly hostOffset: number;
  readonly from: number;
  readonly to: number;
  readonly missing: 'absent' | 'zero';
}

/** The sectors from byte `from` on that are all stored or all not. */
function bitmapRun(bitmap: SectorBitmap, { from, to, hostOffset, missing }: BlockPart): GuestRun {
  if (bitmap.full) return { state: 'data', length: to - from, hostOffset: hostOffset + from };
  const sector = Math.floor(from / SECTOR_SIZE);
  const sectors = runOfBits(bitmap.bits, sector, Math.ceil(to / SECTOR_SIZE));
  const length = Math.min(to, (sector + sectors) * SECTOR_SIZE) - from;
  if (isStored(bitmap.bits, sector)) return { state: 'data', length, hostOffset: hostOffset + from };
  if (missing === 'absent') return { state: missing, length };
  return { state: missing, length, hostOffset: hostOffset + from };
}
