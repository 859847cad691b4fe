import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import type { CheckReport } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { bitmapSize, readBlockAllocationTable, storedBlockSize, UNALLOCATED } from './block-allocation-table.ts';
import type { DynamicHeader } from './dynamic-header.ts';
import { DYNAMIC_HEADER_SIZE } from './dynamic-header.ts';
import type { Anatomy } from './examine.ts';
import { anatomyFindings, readAnatomy } from './examine.ts';
import { FOOTER_SIZE } from './footer.ts';
import { SECTOR_SIZE } from './limits.ts';
import { isStored, runOfBits } from './sector-bitmap.ts';

/** Findings that leave the table readable: they count as corruption, and the walk goes on. */
const WALKABLE: ReadonlySet<string> = new Set(['checksum-mismatch', 'differencing-parent', 'truncated']);

/**
 * Walks the block allocation table and the bitmap of every block: blocks beyond the file, over each other, over footer,
 * header or table. Blocks without any stored sector are leaks. Throws what `open` throws when the table cannot be used.
 */
export async function checkVhd(source: ByteSource): Promise<CheckReport> {
  const anatomy = await readAnatomy(source);
  const found = anatomyFindings(source.size, anatomy);
  refuseUnsafe(
    'vhd',
    found.filter(({ code }) => !WALKABLE.has(code)),
  );
  const grave = found.filter(({ code, severity }) => severity === 'unsafe' && code !== 'differencing-parent');
  const { header, footer } = anatomy;
  if (header === undefined) {
    return { corruptions: grave.length, leaks: 0, findings: grave, imageEndOffset: footer.diskSize };
  }
  const table = await readBlockAllocationTable(source, header, footer.diskSize);
  const walk = await walkBlocks(source, { anatomy, header, table });
  return {
    corruptions: grave.length + walk.outside + walk.overlapping + walk.misplaced,
    leaks: walk.empty,
    findings: [...grave, ...walkFindings(header, walk)],
    allocatedUnits: walk.allocated,
    totalUnits: table.count,
    compressedUnits: 0,
    fragmentedUnits: walk.fragmented,
    imageEndOffset: walk.end,
  };
}

interface BlockWalk {
  readonly allocated: number;
  /** Blocks that do not begin where the one before ends. */
  readonly fragmented: number;
  /** Blocks that reach beyond the end of the file. */
  readonly outside: number;
  /** Blocks that begin inside the one before them in the file. */
  readonly overlapping: number;
  /** Blocks over a footer, the header or the table. */
  readonly misplaced: number;
  /** Blocks in which no sector is stored. */
  readonly empty: number;
  /** Byte offset behind the last block or table inside the file. */
  readonly end: number;
}

interface Walked {
  readonly anatomy: Anatomy;
  readonly header: DynamicHeader;
  readonly table: BlockAllocationTable;
}

async function walkBlocks(source: ByteSource, walked: Walked): Promise<BlockWalk> {
  const { header } = walked;
  const size = storedBlockSize(header.blockSize);
  const entries = allocatedEntries(walked.table);
  const reserved = reservedPlaces(walked);
  const sorted = entries.toSorted();
  let [outside, overlapping, misplaced] = [0, 0, 0];
  let end = Math.max(...reserved.filter((place) => !place.isFooter).map((place) => place.end));
  sorted.forEach((entry, i) => {
    const start = entry * SECTOR_SIZE;
    if (start + size > source.size) outside++;
    else end = Math.max(end, start + size);
    if (i > 0 && start < (sorted[i - 1] ?? 0) * SECTOR_SIZE + size) overlapping++;
    if (reserved.some((place) => start < place.end && start + size > place.start)) misplaced++;
  });
  let fragmented = 0;
  entries.forEach((entry, i) => {
    if (i > 0 && entry * SECTOR_SIZE !== (entries[i - 1] ?? 0) * SECTOR_SIZE + size) fragmented++;
  });
  const empty = await countEmptyBlocks(source, header, sorted);
  return { allocated: entries.length, fragmented, outside, overlapping, misplaced, empty, end };
}

function allocatedEntries(table: BlockAllocationTable): Uint32Array {
  const entries = new Uint32Array(table.count);
  let count = 0;
  for (let block = 0; block < table.count; block++) {
    const entry = table.entry(block);
    if (entry !== UNALLOCATED) entries[count++] = entry;
  }
  return entries.subarray(0, count);
}

/** A part of the file that no block may lie over. */
interface ReservedPlace {
  readonly start: number;
  readonly end: number;
  readonly isFooter: boolean;
}

function reservedPlaces({ anatomy, header }: Walked): readonly ReservedPlace[] {
  const places = [
    { start: header.at, end: header.at + DYNAMIC_HEADER_SIZE, isFooter: false },
    { start: header.tableOffset, end: header.tableOffset + header.maxTableEntries * 4, isFooter: false },
  ];
  for (const footer of [anatomy.footers.copy, anatomy.footers.end]) {
    if (footer !== undefined) places.push({ start: footer.at, end: footer.at + FOOTER_SIZE, isFooter: true });
  }
  return places;
}

async function countEmptyBlocks(source: ByteSource, header: DynamicHeader, entries: Uint32Array): Promise<number> {
  const size = bitmapSize(header.blockSize);
  const sectors = header.blockSize / SECTOR_SIZE;
  let empty = 0;
  let previous = -1;
  for (const entry of entries) {
    if (entry === previous || entry * SECTOR_SIZE + size > source.size) continue;
    previous = entry;
    const bits = await readBytes(source, entry * SECTOR_SIZE, size);
    if (!isStored(bits, 0) && runOfBits(bits, 0, sectors) === sectors) empty++;
  }
  return empty;
}

function walkFindings(header: DynamicHeader, walk: BlockWalk): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, severity: Finding['severity'], message: string): void => {
    findings.push({ code, severity, offset: header.tableOffset, message });
  };
  if (walk.outside > 0) add('truncated', 'unsafe', `${walk.outside} blocks reach beyond the end of the file`);
  if (walk.overlapping > 0) add('corrupt-table', 'unsafe', `${walk.overlapping} blocks lie over another block`);
  if (walk.misplaced > 0) {
    add('overlapping-tables', 'unsafe', `${walk.misplaced} blocks lie over a footer, the header or the table`);
  }
  if (walk.empty > 0) add('leaked-cluster', 'warning', `${walk.empty} blocks hold no stored sector`);
  return findings;
}
