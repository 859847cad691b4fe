import type { ByteSource } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import type { CheckReport } from '../../image/format.ts';
import { readAnatomy } from './anatomy.ts';
import { descriptorFaults } from './create-type.ts';
import { grainFindings, tableFindings } from './examine.ts';
import { faultFinding, refuseFaults } from './fault.ts';
import { readGrainDirectory, readRedundantDirectory, tableOffset } from './grain-directory.ts';
import type { TableSurvey } from './grain-survey.ts';
import { eachTable, surveyGrains, surveyTables } from './grain-survey.ts';
import { grainOffset, grainState, grainTables } from './grain-table.ts';
import { SECTOR_SIZE } from './sector.ts';
import { effectiveHeader } from './sparse-extent.ts';
import type { SparseHeader } from './sparse-header.ts';
import { headerFaults, isCompressed, tableSize } from './sparse-header.ts';

/** Bits of the map of used space: 8 MiB. Larger files are walked once for each part that such a map covers. */
const MAP_BITS: number = 2 ** 26;

/**
 * Walks all tables of a sparse extent: grains and tables beyond the file, over the header, shared by two entries, and
 * a redundant directory that differs. Of a descriptor it judges the text alone, as it opens no other file.
 * Throws what `open` throws when the directory cannot be read.
 */
export async function checkDisk(source: ByteSource): Promise<CheckReport> {
  const anatomy = await readAnatomy(source);
  if (anatomy.kind === 'sparse') {
    refuseFaults(headerFaults(anatomy.header));
    return checkSparse(source, await effectiveHeader(source, anatomy.header));
  }
  if (anatomy.kind === 'esx') refuseFaults(anatomy.faults);
  const faults = anatomy.kind === 'descriptor' ? descriptorFaults(anatomy.descriptor, 'separate') : [];
  const corrupt = faults.filter((fault) => fault.refusal === 'corrupt');
  return { corruptions: corrupt.length, leaks: 0, findings: faults.map(faultFinding) };
}

async function checkSparse(source: ByteSource, header: SparseHeader): Promise<CheckReport> {
  const directory = await readGrainDirectory(source, header);
  const tables = surveyTables(source, header, directory);
  const walk = { header, directory, readable: tables.readable };
  const grains = await surveyGrains(source, walk);
  const shared = await sharedGrains(source, walk);
  const mismatched = await mismatchedTables(source, walk);
  return {
    corruptions: tableCorruptions(tables) + grains.outside + grains.misplaced + shared.count + mismatched,
    leaks: 0,
    findings: [
      ...tableFindings(tables),
      ...grainFindings(grains),
      ...sharedFindings(shared),
      ...mismatchFindings(mismatched, header),
    ],
    allocatedUnits: grains.allocated,
    totalUnits: grains.total,
    compressedUnits: isCompressed(header) ? grains.allocated : 0,
    imageEndOffset: isCompressed(header) ? source.size : Math.max(grains.end, lastTableEnd(header, walk)),
  };
}

interface TableWalk {
  readonly header: SparseHeader;
  readonly directory: Uint32Array;
  readonly readable: readonly number[];
}

function tableCorruptions(tables: TableSurvey): number {
  return tables.outside + tables.overlapping;
}

function lastTableEnd(header: SparseHeader, walk: TableWalk): number {
  let end = 0;
  for (const index of walk.readable) end = Math.max(end, tableOffset(walk.directory[index] ?? 0) + tableSize(header));
  return end;
}

/** Grains that two entries point at. Grains that cover each other in part are found when both begin in one unit. */
async function sharedGrains(
  source: ByteSource,
  walk: TableWalk,
): Promise<{ readonly count: number; readonly first: number | undefined }> {
  const unit = isCompressed(walk.header) ? SECTOR_SIZE : walk.header.grainSize;
  const units = Math.ceil(source.size / unit);
  let count = 0;
  let first: number | undefined;
  for (let start = 0; start < units; start += MAP_BITS) {
    const used = new Uint8Array(Math.ceil(Math.min(MAP_BITS, units - start) / 8));
    await eachTable(source, walk, (entries) => {
      for (const entry of entries) {
        if (grainState(walk.header, entry) !== 'data') continue;
        const place = Math.floor(grainOffset(entry) / unit) - start;
        if (place < 0 || place >= used.length * 8) continue;
        const bit = 1 << (place & 7);
        if (((used[place >> 3] ?? 0) & bit) !== 0) {
          count++;
          first ??= grainOffset(entry);
        }
        used[place >> 3] = (used[place >> 3] ?? 0) | bit;
      }
    });
  }
  return { count, first };
}

function sharedFindings(shared: { readonly count: number; readonly first: number | undefined }): Finding[] {
  if (shared.first === undefined) return [];
  return [
    {
      code: 'shared-grains',
      severity: 'unsafe',
      offset: shared.first,
      message: `${shared.count} grain table entries point at a grain that another entry already holds`,
    },
  ];
}

/** Grain tables whose redundant copy is missing or says something else. */
async function mismatchedTables(source: ByteSource, walk: TableWalk): Promise<number> {
  const redundant = await readRedundantDirectory(source, walk.header);
  if (redundant === undefined) return 0;
  let mismatched = 0;
  for (const [index, entry] of walk.directory.entries()) {
    if ((entry === 0) !== ((redundant[index] ?? 0) === 0)) mismatched++;
  }
  const copies = surveyTables(source, walk.header, redundant);
  mismatched += copies.outside + copies.overlapping;
  const readable = new Set(copies.readable);
  const copyTables = grainTables(source, walk.header, redundant);
  const tables = grainTables(source, walk.header, walk.directory);
  for (const index of walk.readable) {
    if (!readable.has(index)) continue;
    const table = await tables.entries(index);
    const copy = await copyTables.entries(index);
    if (table?.some((value, place) => value !== copy?.[place]) === true) mismatched++;
  }
  return mismatched;
}

function mismatchFindings(mismatched: number, header: SparseHeader): Finding[] {
  if (mismatched === 0 || header.redundantDirectoryOffset === undefined) return [];
  return [
    {
      code: 'redundant-directory-differs',
      severity: 'warning',
      offset: header.redundantDirectoryOffset,
      message: `${mismatched} grain tables differ from their redundant copies`,
    },
  ];
}
