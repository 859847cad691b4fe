import { readBytes } from '../bytes/byte-source.ts';
import type { ByteSource } from '../bytes/byte-source.ts';
import type { Finding, Severity } from '../image/finding.ts';
import type { GuidPartitionTable } from './gpt.ts';
import { readGuidPartitionTable } from './gpt.ts';
import type { MbrEntry } from './mbr.ts';
import { isProtective, MBR_SECTOR, parseMbr, readLogicalPartitions } from './mbr.ts';

/** How a disk is divided. */
export interface PartitionTable {
  /**
   * `mbr`: a master boot record alone. `gpt`: a GUID partition table. `hybrid`: both, and the MBR names partitions of its
   * own. `protective`: an MBR that only says "here is a GPT", but there is none.
   */
  readonly kind: 'mbr' | 'gpt' | 'hybrid' | 'protective';
  /** Bytes of a logical sector, as the table counts. */
  readonly sectorSize: number;
  /** The disk's GUID (GPT) or its 32-bit signature in hexadecimal (MBR). */
  readonly id: string;
  readonly partitions: readonly Partition[];
  /** For `hybrid`: what the MBR says beside the GPT. */
  readonly mbrPartitions?: readonly Partition[];
}

/** One partition; offsets in bytes from the start of the disk. */
export interface Partition {
  readonly index: number;
  /** GPT: a GUID; MBR: `0x83` and the like. */
  readonly type: string;
  readonly name?: string;
  readonly offset: number;
  readonly length: number;
  readonly bootable: boolean;
  /** `extended` holds the `logical` ones. */
  readonly role: 'primary' | 'extended' | 'logical';
}

/** What stands on a disk, if anything, and what is wrong with it. */
export interface PartitionReading {
  readonly table: PartitionTable | undefined;
  readonly findings: readonly Finding[];
}

/** The partition table of `disk`. Reads a few sectors and at most 1 MiB of GPT entries. Throws only what `disk` throws. */
export async function readPartitionTable(disk: ByteSource): Promise<PartitionReading> {
  if (disk.size < MBR_SECTOR) return { table: undefined, findings: [] };
  const mbr = parseMbr(await readBytes(disk, 0, MBR_SECTOR));
  const gpt = await readGuidPartitionTable(disk);
  if (gpt.table !== undefined) return combined(disk, gpt.table, gpt.findings, mbr?.entries ?? []);
  if (mbr === undefined) return { table: undefined, findings: gpt.findings };
  const partitions = mbr.entries.map(mbrPartition);
  const own = { sectorSize: MBR_SECTOR, id: mbr.diskSignature };
  if (mbr.entries.some(isProtective)) {
    const message = 'The master boot record announces a GUID partition table, but there is no valid one';
    const missing: Finding = { code: 'partition-table-damaged', severity: 'warning', offset: MBR_SECTOR, message };
    return { table: { kind: 'protective', ...own, partitions }, findings: [...gpt.findings, missing] };
  }
  const logical = await readLogicalPartitions(disk, mbr.entries);
  const all = [...partitions, ...logical.entries.map(mbrPartition)];
  return {
    table: { kind: 'mbr', ...own, partitions: all },
    findings: [...gpt.findings, ...logical.findings, ...placeFindings(disk.size, all)],
  };
}

function combined(
  disk: ByteSource,
  gpt: GuidPartitionTable,
  gptFindings: readonly Finding[],
  mbrEntries: readonly MbrEntry[],
): PartitionReading {
  const findings = [...gptFindings, ...placeFindings(disk.size, gpt.partitions)];
  const own = { sectorSize: gpt.sectorSize, id: gpt.diskGuid, partitions: gpt.partitions };
  const others = mbrEntries.filter((entry) => !isProtective(entry)).map(mbrPartition);
  if (others.length === 0) return { table: { kind: 'gpt', ...own }, findings };
  const message = `Beside the GUID partition table, the master boot record names ${others.length} partitions of its own: systems may see different disks`;
  findings.push({ code: 'hybrid-partition-table', severity: 'warning', offset: 446, message });
  return { table: { kind: 'hybrid', ...own, mbrPartitions: others }, findings };
}

function mbrPartition(entry: MbrEntry): Partition {
  return {
    index: entry.index,
    type: `0x${entry.type.toString(16).padStart(2, '0')}`,
    offset: entry.firstSector * MBR_SECTOR,
    length: entry.sectors * MBR_SECTOR,
    bootable: entry.bootable,
    role: entry.role,
  };
}

function placeFindings(diskSize: number, partitions: readonly Partition[]): readonly Finding[] {
  const outside = partitions.filter(({ offset, length }) => offset + length > diskSize);
  return [
    ...outside.map((partition) =>
      finding(
        'partition-outside-disk',
        'warning',
        partition,
        `ends at byte ${partition.offset + partition.length}, after the end of the disk at ${diskSize}`,
      ),
    ),
    ...overlaps(partitions.filter(({ role }) => role !== 'logical')),
    ...overlaps(partitions.filter(({ role }) => role === 'logical')),
  ];
}

function overlaps(partitions: readonly Partition[]): readonly Finding[] {
  const sorted = [...partitions].sort((a, b) => a.offset - b.offset);
  const findings: Finding[] = [];
  let widest: Partition | undefined;
  for (const partition of sorted) {
    if (widest !== undefined && partition.offset < widest.offset + widest.length) {
      findings.push(finding('partition-overlap', 'warning', partition, `overlaps partition ${widest.index}`));
    }
    if (widest === undefined || partition.offset + partition.length > widest.offset + widest.length) widest = partition;
  }
  return findings;
}

function finding(code: string, severity: Severity, partition: Partition, what: string): Finding {
  return { code, severity, message: `Partition ${partition.index} ${what}` };
}
