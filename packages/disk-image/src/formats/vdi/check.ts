import type { ByteSource } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import type { CheckReport } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { BlockMap } from './block-map.ts';
import { isStored, readBlockMap, storedBlockSize } from './block-map.ts';
import { headerFindings } from './examine.ts';
import type { VdiHeader } from './header.ts';
import { HEADER_END, readHeader } from './header.ts';

/**
 * Walks the block map: blocks beyond the file, blocks that two entries hold, numbers above the disk's own count, a count
 * of allocated blocks that is wrong, structures over each other. Blocks of the file that no entry holds are leaks.
 * Throws what `open` throws for a header that cannot be used.
 */
export async function checkVdi(source: ByteSource): Promise<CheckReport> {
  const header = await readHeader(source);
  refuseUnsafe('vdi', headerFindings(source.size, header));
  const walk = walkBlocks(source, header, await readBlockMap(source, header));
  const overlaps = overlapFindings(header);
  return {
    corruptions: walk.outside + walk.shared + walk.tooLarge + walk.miscounted + overlaps.length,
    leaks: walk.leaked,
    findings: [...overlaps, ...walkFindings(header, walk)],
    allocatedUnits: walk.allocated,
    totalUnits: header.blockCount,
    compressedUnits: 0,
    fragmentedUnits: walk.fragmented,
    imageEndOffset: walk.end,
  };
}

interface BlockWalk {
  readonly allocated: number;
  /** Stored blocks that do not follow the one before. */
  readonly fragmented: number;
  readonly outside: number;
  readonly shared: number;
  readonly tooLarge: number;
  /** 1 when the header's count of allocated blocks is wrong. */
  readonly miscounted: number;
  /** Whole blocks of the file that no entry holds. */
  readonly leaked: number;
  /** Byte offset behind the last block inside the file. */
  readonly end: number;
}

function walkBlocks(source: ByteSource, header: VdiHeader, map: BlockMap): BlockWalk {
  const size = storedBlockSize(header);
  const room = Math.max(0, Math.floor((source.size - header.dataOffset) / size));
  const entries = storedEntries(map);
  let fragmented = 0;
  entries.forEach((entry, i) => {
    if (i > 0 && entry !== (entries[i - 1] ?? 0) + 1) fragmented++;
  });
  const sorted = entries.toSorted();
  let shared = 0;
  let outside = 0;
  let tooLarge = 0;
  sorted.forEach((entry, i) => {
    if (i > 0 && entry === sorted[i - 1]) shared++;
    if (entry >= room) outside++;
    if (entry >= header.blockCount) tooLarge++;
  });
  const inside = entries.length - shared - outside;
  return {
    allocated: entries.length,
    fragmented,
    outside,
    shared,
    tooLarge,
    miscounted: header.allocatedBlockCount === entries.length ? 0 : 1,
    leaked: Math.max(0, room - inside),
    end: header.dataOffset + (Math.min(sorted.at(-1) ?? -1, room - 1) + 1) * size,
  };
}

function storedEntries(map: BlockMap): Uint32Array {
  const entries = new Uint32Array(map.count);
  let count = 0;
  for (let block = 0; block < map.count; block++) {
    const entry = map.entry(block);
    if (isStored(entry)) entries[count++] = entry;
  }
  return entries.subarray(0, count);
}

function overlapFindings(header: VdiHeader): readonly Finding[] {
  const mapEnd = header.blockMapOffset + header.blockCount * 4;
  const findings: Finding[] = [];
  const add = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (header.blockMapOffset < HEADER_END) add('overlapping-tables', 340, 'The block map lies over the header');
  if (header.dataOffset < mapEnd) add('overlapping-tables', 344, 'The blocks begin inside the block map or before it');
  return findings;
}

function walkFindings(header: VdiHeader, walk: BlockWalk): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, severity: Finding['severity'], message: string): void => {
    findings.push({ code, severity, offset: header.blockMapOffset, message });
  };
  if (walk.outside > 0) add('truncated', 'unsafe', `${walk.outside} blocks reach beyond the end of the file`);
  if (walk.shared > 0) {
    add('corrupt-table', 'unsafe', `${walk.shared} entries hold a block that another entry already holds`);
  }
  if (walk.tooLarge > 0) {
    add('corrupt-table', 'unsafe', `${walk.tooLarge} entries hold a block number above ${header.blockCount - 1}`);
  }
  if (walk.miscounted > 0) {
    const message = `The header counts ${header.allocatedBlockCount} allocated blocks; ${walk.allocated} are`;
    findings.push({ code: 'header-inconsistent', severity: 'unsafe', offset: 388, message });
  }
  if (walk.leaked > 0) add('leaked-cluster', 'warning', `${walk.leaked} blocks of the file are used by nothing`);
  return findings;
}
