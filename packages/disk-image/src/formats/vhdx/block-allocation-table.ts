import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import { recentTables } from '../../image/recent-tables.ts';
import type { BatEntries } from './bat-entry.ts';
import { batEntries, BLOCK, ENTRY_BYTES } from './bat-entry.ts';
import type { Geometry } from './geometry.ts';
import { blockOfIndex, isBitmapIndex } from './geometry.ts';
import { BITMAP_BLOCK_SIZE, KIB, MIB } from './limits.ts';
import type { Region } from './region-table.ts';

/** 64 TiB in blocks of 1 MiB need 512 MiB of table; what is walked here is enough for 1 TiB in such blocks. */
const MAX_BYTES_EXAMINED: number = 8 * MIB;
/** Entries are read 64 KiB at a time, and so much stays in memory for each of the last uses. */
export const PAGE_ENTRIES: number = (64 * KIB) / ENTRY_BYTES;
const MAX_PAGES = 32;

/** The block allocation table, read as it is needed. */
export interface BlockAllocationTable {
  readonly geometry: Geometry;
  /** Entries `[page * PAGE_ENTRIES, ...)` of the table, on the last page perhaps fewer. */
  page(page: number, signal?: AbortSignal): Promise<BatEntries>;
}

/** The table in `region`, which is large enough for the geometry. Keeps at most 2 MiB of it in memory. */
export function blockAllocationTable(source: ByteSource, region: Region, geometry: Geometry): BlockAllocationTable {
  const pages = recentTables(MAX_PAGES, async (page, signal) => {
    const first = page * PAGE_ENTRIES;
    const bytes = new Uint8Array(Math.min(PAGE_ENTRIES, geometry.entries - first) * ENTRY_BYTES);
    await source.read(region.fileOffset + first * ENTRY_BYTES, bytes, signal);
    return batEntries(bytes);
  });
  return { geometry, page: (page, signal) => pages.get(page, signal) };
}

/** What is wrong with the size of the table's region, when the disk needs more. */
export function batSizeFindings(region: Region, geometry: Geometry): readonly Finding[] {
  const needed = geometry.entries * ENTRY_BYTES;
  if (needed <= region.length) return [];
  const message = `A block allocation table of ${region.length} bytes is too small for the disk, which needs ${needed}`;
  return [{ code: 'header-inconsistent', severity: 'unsafe', offset: region.fileOffset, message }];
}

/** Does the file hold every block that the table places? Tables above 8 MiB are not walked. */
export async function batFindings(source: ByteSource, region: Region, geometry: Geometry): Promise<readonly Finding[]> {
  const needed = geometry.entries * ENTRY_BYTES;
  if (needed > region.length || needed > MAX_BYTES_EXAMINED || region.fileOffset + needed > source.size) return [];
  const entries = batEntries(await readBytes(source, region.fileOffset, needed));
  return truncationFindings(source.size, dataEnd(entries, geometry));
}

function dataEnd(entries: BatEntries, geometry: Geometry): number {
  const { blockSize, diskSize, hasParent } = geometry;
  let end = 0;
  for (let i = 0; i < entries.count; i++) {
    const state = entries.state(i);
    if (state !== BLOCK.fullyPresent && state !== BLOCK.partiallyPresent) continue;
    if (isBitmapIndex(geometry, i)) {
      if (hasParent) end = Math.max(end, entries.hostOffset(i) + BITMAP_BLOCK_SIZE);
      continue;
    }
    const guestOffset = blockOfIndex(geometry, i) * blockSize;
    end = Math.max(end, entries.hostOffset(i) + Math.min(blockSize, diskSize - guestOffset));
  }
  return end;
}
