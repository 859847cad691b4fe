import type { ByteSource } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import type { CheckReport } from '../../image/format.ts';
import type { ParallelsHeader } from './header.ts';
import { dataStart, SECTOR, sectorsPerEntry } from './header.ts';
import { batOffset, readBat } from './open.ts';

/**
 * Walks the block allocation table: blocks beyond the file, over header or table, or held by two entries, and space
 * behind the last block. An image that was not closed counts as a corruption: its last blocks may be missing.
 */
export async function checkBlocks(source: ByteSource, header: ParallelsHeader): Promise<CheckReport> {
  const bat = await readBat(source, header);
  const walk = walkBlocks(source.size, header, bat);
  const blockSize = header.blockSectors * SECTOR;
  const leakedBytes = Math.max(0, source.size - Math.max(walk.end, dataStart(header)));
  const leaks = Math.ceil(leakedBytes / blockSize);
  const findings = [...walk.findings];
  if (header.inUse) {
    findings.push({ code: 'dirty', severity: 'unsafe', offset: 44, message: 'The image was not closed cleanly' });
  }
  const corruptions = findings.length;
  if (leaks > 0) {
    const message = `${leakedBytes} bytes at the end of the file belong to no block`;
    findings.push({ code: 'leaked-cluster', severity: 'warning', offset: source.size - leakedBytes, message });
  }
  return {
    corruptions,
    leaks,
    findings,
    allocatedUnits: walk.allocated,
    totalUnits: header.batEntries,
    fragmentedUnits: walk.fragmented,
    // The header takes a block of its own.
    imageEndOffset: Math.max(walk.end, blockSize),
  };
}

interface BlockWalk {
  readonly allocated: number;
  /** Blocks that do not lie behind the one that the guest has before them. */
  readonly fragmented: number;
  readonly end: number;
  readonly findings: readonly Finding[];
}

function walkBlocks(fileSize: number, header: ParallelsHeader, bat: Uint32Array): BlockWalk {
  const blockSize = header.blockSectors * SECTOR;
  const entrySize = sectorsPerEntry(header) * SECTOR;
  const findings: Finding[] = [];
  let allocated = 0;
  let fragmented = 0;
  let end = 0;
  let expected = 0;
  for (const [index, entry] of bat.entries()) {
    const offset = entry * entrySize;
    if (entry === 0) {
      expected = 0;
      continue;
    }
    const fault = blockFault(header, offset, fileSize);
    if (fault !== undefined) findings.push({ ...fault, severity: 'unsafe', offset: batOffset(index) });
    if (expected !== 0 && expected !== offset) fragmented++;
    expected = offset + blockSize;
    allocated++;
    if (offset < fileSize) end = Math.max(end, expected);
  }
  return { allocated, fragmented, end, findings: [...findings, ...sharedBlocks(bat)] };
}

function blockFault(
  header: ParallelsHeader,
  offset: number,
  fileSize: number,
): { readonly code: string; readonly message: string } | undefined {
  if (offset < dataStart(header)) {
    return { code: 'overlapping-tables', message: `A block at byte ${offset} lies over the header or the table` };
  }
  if (offset < fileSize) return undefined;
  return { code: 'truncated', message: `A block lies at byte ${offset}, but the file ends at ${fileSize}` };
}

function sharedBlocks(bat: Uint32Array): readonly Finding[] {
  const sorted = bat.slice().sort();
  let shared = 0;
  for (let i = 1; i < sorted.length; i++) if (sorted[i] !== 0 && sorted[i] === sorted[i - 1]) shared++;
  if (shared === 0) return [];
  return [
    {
      code: 'overlapping-tables',
      severity: 'unsafe',
      message: `${shared} entries of the block allocation table point at a block that another one holds`,
    },
  ];
}
