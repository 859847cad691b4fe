import type { ByteSource } from '../bytes/byte-source.ts';
import { readBytes } from '../bytes/byte-source.ts';
import { crc32, withZeroedField } from '../bytes/crc32.ts';
import { guidText } from '../bytes/guid.ts';
import { asciiField, fieldReader } from '../bytes/numbers.ts';
import type { Finding } from '../image/finding.ts';
import type { Partition } from './partition-table.ts';

const SIGNATURE = 'EFI PART';
const SECTOR_SIZES = [512, 4096];
const MIN_HEADER_BYTES = 92;
const HEADER_CRC_AT = 16;
/** The specification's minimum array is 128 entries of 128 bytes; real disks have few more. */
const MAX_ENTRIES = 1024;
const MIN_ENTRY_BYTES = 128;
const MAX_ENTRY_BYTES = 1024;
const NIL_GUID = '00000000-0000-0000-0000-000000000000';
const LEGACY_BOOTABLE = 4n;

/** A GUID partition table of which at least one copy is readable. */
export interface GuidPartitionTable {
  readonly sectorSize: number;
  readonly diskGuid: string;
  readonly partitions: readonly Partition[];
}

interface GptHeader {
  /** Byte offset of the header on the disk. */
  readonly at: number;
  readonly sectorSize: number;
  readonly diskGuid: string;
  /** Byte offset of the other copy. */
  readonly alternateAt: number;
  readonly entriesAt: number;
  readonly entryCount: number;
  readonly entryBytes: number;
  readonly entriesCrc: number;
}

/**
 * The GUID partition table, by its primary copy or, when that is damaged, by the backup; damage is a finding. UEFI
 * specification 2.10, section 5.3. No table at all is neither.
 */
export async function readGuidPartitionTable(
  disk: ByteSource,
): Promise<{ readonly table: GuidPartitionTable | undefined; readonly findings: readonly Finding[] }> {
  for (const sectorSize of SECTOR_SIZES) {
    if (!(await hasSignature(disk, sectorSize))) continue;
    const primary = await readCopy(disk, sectorSize, sectorSize);
    const backupAt = primary.header?.alternateAt ?? disk.size - sectorSize;
    const backup = await readCopy(disk, backupAt, sectorSize);
    const findings = [
      ...primary.faults.map((fault) => damaged(`The GUID partition table ${fault}`, sectorSize)),
      ...backup.faults.map((fault) => damaged(`The backup of the GUID partition table ${fault}`, backupAt)),
      ...misplacedBackup(disk.size, primary.header),
    ];
    return { table: primary.table ?? backup.table, findings };
  }
  return { table: undefined, findings: [] };
}

/** True when the first bytes of a disk have a primary header, of any sector size. */
export function hasGptSignature(head: Uint8Array): boolean {
  return SECTOR_SIZES.some((at) => asciiField(head.subarray(at, at + 8)) === SIGNATURE);
}

async function hasSignature(disk: ByteSource, at: number): Promise<boolean> {
  if (at < 0 || at + MIN_HEADER_BYTES > disk.size) return false;
  return asciiField(await readBytes(disk, at, 8)) === SIGNATURE;
}

interface Copy {
  readonly header?: GptHeader;
  readonly table?: GuidPartitionTable;
  readonly faults: readonly string[];
}

async function readCopy(disk: ByteSource, at: number, sectorSize: number): Promise<Copy> {
  if (at + sectorSize > disk.size || !(await hasSignature(disk, at))) return { faults: ['is missing'] };
  const header = parseHeader(await readBytes(disk, at, sectorSize), at, sectorSize);
  if (typeof header === 'string') return { faults: [header] };
  const length = header.entryCount * header.entryBytes;
  if (header.entriesAt + length > disk.size) return { header, faults: ['has its entries outside the disk'] };
  const entries = await readBytes(disk, header.entriesAt, length);
  const faults = crc32(entries) === header.entriesCrc ? [] : ['has entries that do not match their checksum'];
  const table = { sectorSize, diskGuid: header.diskGuid, partitions: parsePartitions(entries, header) };
  return faults.length === 0 ? { header, table, faults } : { header, faults };
}

/** The header, or what is wrong with it. */
function parseHeader(sector: Uint8Array, at: number, sectorSize: number): GptHeader | string {
  const fields = fieldReader(sector, 'little', { format: 'raw', structure: 'GPT header', offset: at });
  const size = fields.u32(12);
  if (size < MIN_HEADER_BYTES || size > sectorSize) return `has a header of ${size} bytes`;
  if (crc32(withZeroedField(sector.subarray(0, size), HEADER_CRC_AT)) !== fields.u32(HEADER_CRC_AT)) {
    return 'has a header that does not match its checksum';
  }
  const entryCount = fields.u32(80);
  const entryBytes = fields.u32(84);
  if (entryCount > MAX_ENTRIES) return `has ${entryCount} entries; at most ${MAX_ENTRIES} are accepted`;
  if (entryBytes < MIN_ENTRY_BYTES || entryBytes > MAX_ENTRY_BYTES || entryBytes % 8 !== 0)
    return `has entries of ${entryBytes} bytes`;
  return {
    at,
    sectorSize,
    diskGuid: guidText(fields.bytes(56, 16)),
    alternateAt: Number(fields.bits64(32)) * sectorSize,
    entriesAt: Number(fields.bits64(72)) * sectorSize,
    entryCount,
    entryBytes,
    entriesCrc: fields.u32(88),
  };
}

function parsePartitions(entries: Uint8Array, header: GptHeader): readonly Partition[] {
  const fields = fieldReader(entries, 'little', { format: 'raw', structure: 'GPT entries', offset: header.entriesAt });
  const partitions: Partition[] = [];
  for (let i = 0; i < header.entryCount; i++) {
    const at = i * header.entryBytes;
    const type = guidText(fields.bytes(at, 16));
    if (type === NIL_GUID) continue;
    const first = Number(fields.bits64(at + 32));
    const last = Number(fields.bits64(at + 40));
    const name = new TextDecoder('utf-16le').decode(fields.bytes(at + 56, 72)).replace(/\0.*$/s, '');
    partitions.push({
      index: i + 1,
      type,
      ...(name === '' ? {} : { name }),
      offset: first * header.sectorSize,
      length: Math.max(0, last - first + 1) * header.sectorSize,
      bootable: (fields.bits64(at + 48) & LEGACY_BOOTABLE) !== 0n,
      role: 'primary',
    });
  }
  return partitions;
}

/** A disk that was enlarged or cut keeps its backup away from the end, where nobody looks for it. */
function misplacedBackup(diskSize: number, primary: GptHeader | undefined): readonly Finding[] {
  if (primary === undefined) return [];
  const lastSector = (Math.floor(diskSize / primary.sectorSize) - 1) * primary.sectorSize;
  if (primary.alternateAt >= lastSector) return [];
  const message = `The backup of the GUID partition table lies at byte ${primary.alternateAt}, not at the end of the disk`;
  return [{ code: 'partition-table-damaged', severity: 'info', offset: primary.alternateAt, message }];
}

function damaged(message: string, offset: number): Finding {
  return { code: 'partition-table-damaged', severity: 'warning', offset, message };
}
