import type { ByteSource } from '../../bytes/byte-source.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import type { BatEntries } from './bat-entry.ts';
import { BLOCK } from './bat-entry.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { PAGE_ENTRIES } from './block-allocation-table.ts';
import type { Geometry } from './geometry.ts';
import { blockOfIndex, isBitmapIndex, payloadIndex } from './geometry.ts';
import { MIB } from './limits.ts';
import type { SectorBitmaps } from './sector-bitmap.ts';
import { sectorBitmaps, sectorIsPresent, sectorRunEnd } from './sector-bitmap.ts';
import { vhdxError } from './vhdx-error.ts';

/** Where guest bytes lie, from the block allocation table and the sector bitmaps. Throws `corrupt` for impossible entries. */
export function guestMap(source: ByteSource, table: BlockAllocationTable): GuestMap {
  const bitmaps = sectorBitmaps(source, table);
  const { geometry } = table;
  return {
    async run(offset, end, signal) {
      const block = Math.floor(offset / geometry.blockSize);
      const index = payloadIndex(geometry, block);
      const page = Math.floor(index / PAGE_ENTRIES);
      const entries = await table.page(page, signal);
      const first = page * PAGE_ENTRIES;
      const state = entries.state(index - first);
      if (state === BLOCK.partiallyPresent && geometry.hasParent) {
        const hostOffset = checkedOffset(entries, index - first, block);
        return sectorRun(bitmaps, { geometry, block, hostOffset, offset, end, signal });
      }
      return blockRun(geometry, { entries, first, block, offset, end });
    },
  };
}

/** A run of whole entries: `first` is the index in the table of the first of `entries`. */
interface BlockRun {
  readonly entries: BatEntries;
  readonly first: number;
  readonly block: number;
  readonly offset: number;
  readonly end: number;
}

/** As many blocks of one kind as the entries at hand tell of. */
function blockRun(geometry: Geometry, { entries, first, block, offset, end }: BlockRun): GuestRun {
  const { blockSize } = geometry;
  const at = payloadIndex(geometry, block) - first;
  const state = runState(entries.state(at), block);
  const within = offset - block * blockSize;
  if (state === 'data') {
    const hostOffset = checkedOffset(entries, at, block) + within;
    return { state, length: Math.min(end - offset, blockSize - within), hostOffset };
  }
  const limit = Math.min(entries.count, payloadIndex(geometry, Math.ceil(end / blockSize) - 1) - first + 1);
  let next = entries.runEnd(at, limit);
  while (next < limit) {
    if (isBitmapIndex(geometry, first + next)) next++;
    else if (isOfState(entries.state(next), state)) next = entries.runEnd(next, limit);
    else break;
  }
  return { state, length: Math.min(end, blockOfIndex(geometry, first + next) * blockSize) - offset };
}

/** Entries that hold nothing in the file, of one kind for the reader. */
function isOfState(entry: number, state: GuestRun['state']): boolean {
  return state === 'zero' ? HIDES_PARENT.has(entry) : entry === BLOCK.notPresent;
}

const HIDES_PARENT: ReadonlySet<number> = new Set([BLOCK.undefined, BLOCK.zero, BLOCK.unmapped]);

/**
 * Undefined and unmapped blocks hold nothing that a guest may rely on: they read as zeros, and not from the parent.
 * [MS-VHDX] 2.5.1.1.
 */
function runState(entry: number, block: number): GuestRun['state'] {
  if (entry === BLOCK.fullyPresent) return 'data';
  if (entry === BLOCK.notPresent) return 'absent';
  if (HIDES_PARENT.has(entry)) return 'zero';
  if (entry === BLOCK.partiallyPresent)
    throw badEntry(`Payload block ${block} is in parts, but the disk has no parent`);
  throw badEntry(`Payload block ${block} has the reserved state ${entry}`);
}

function checkedOffset(entries: BatEntries, at: number, block: number): number {
  const hostOffset = entries.hostOffset(at);
  if (hostOffset >= MIB) return hostOffset;
  throw badEntry(`Payload block ${block} lies at byte ${hostOffset}, inside the header`);
}

function badEntry(message: string): Error {
  return vhdxError('corrupt', message, 'block allocation table');
}

/** Sectors of one block that are all in this file, or all left to the parent. */
async function sectorRun(
  bitmaps: SectorBitmaps,
  place: {
    readonly geometry: Geometry;
    readonly block: number;
    readonly hostOffset: number;
    readonly offset: number;
    readonly end: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<GuestRun> {
  const { geometry, block, hostOffset, offset, end, signal } = place;
  const { blockSize, sectorSize } = geometry;
  const bitmap = await bitmaps.get(block, signal);
  const within = offset - block * blockSize;
  const limit = Math.min(end - block * blockSize, blockSize);
  const sector = Math.floor(within / sectorSize);
  const runEnd = sectorRunEnd(bitmap, sector, Math.ceil(limit / sectorSize));
  const length = Math.min(runEnd * sectorSize, limit) - within;
  if (!sectorIsPresent(bitmap, sector)) return { state: 'absent', length };
  return { state: 'data', length, hostOffset: hostOffset + within };
}
