import type { ByteSource } from '../bytes/byte-source.ts';
import { readBytes } from '../bytes/byte-source.ts';
import { fieldReader } from '../bytes/numbers.ts';
import type { Finding } from '../image/finding.ts';

export const MBR_SECTOR: number = 512;
const ENTRIES_AT = 446;
const ENTRY_BYTES = 16;
const PROTECTIVE_TYPE = 0xee;
const EXTENDED_TYPES: ReadonlySet<number> = new Set([0x05, 0x0f, 0x85]);
/** Linux makes device nodes for fewer. */
const MAX_LOGICAL_PARTITIONS = 128;

/** One used entry of a master boot record. Sectors are of 512 bytes, counted from the start of the disk. */
export interface MbrEntry {
  /** 1 to 4 for primary entries, from 5 on for logical ones. */
  readonly index: number;
  readonly type: number;
  readonly firstSector: number;
  readonly sectors: number;
  readonly bootable: boolean;
  readonly role: 'primary' | 'extended' | 'logical';
}

/** A master boot record with at least one partition. */
export interface MasterBootRecord {
  /** 8 hexadecimal digits. */
  readonly diskSignature: string;
  readonly entries: readonly MbrEntry[];
}

/**
 * The master boot record in `sector`, or undefined when it is not one. The mark 55 aa alone proves nothing (every boot
 * sector of a file system bears it), so all four status bytes must be 00 or 80 and one entry must be used.
 * UEFI specification 2.10, section 5.2.1.
 */
export function parseMbr(sector: Uint8Array): MasterBootRecord | undefined {
  const entries = bootSectorEntries(sector);
  if (entries === undefined || entries.length === 0) return undefined;
  const fields = fieldReader(sector, 'little', { format: 'raw', structure: 'master boot record' });
  return { diskSignature: fields.u32(440).toString(16).padStart(8, '0'), entries };
}

/** True for the entry that stands for a whole disk under a GUID partition table. */
export function isProtective(entry: MbrEntry): boolean {
  return entry.type === PROTECTIVE_TYPE;
}

function bootSectorEntries(sector: Uint8Array): readonly MbrEntry[] | undefined {
  if (sector.length < MBR_SECTOR || sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined;
  const fields = fieldReader(sector, 'little', { format: 'raw', structure: 'master boot record' });
  const places = [0, 1, 2, 3].map((i) => ENTRIES_AT + i * ENTRY_BYTES);
  if (places.some((at) => fields.u8(at) !== 0 && fields.u8(at) !== 0x80)) return undefined;
  return places
    .map((at, i): MbrEntry => {
      const type = fields.u8(at + 4);
      return {
        index: i + 1,
        type,
        firstSector: fields.u32(at + 8),
        sectors: fields.u32(at + 12),
        bootable: fields.u8(at) === 0x80,
        role: EXTENDED_TYPES.has(type) ? 'extended' : 'primary',
      };
    })
    .filter((entry) => entry.type !== 0 && entry.sectors > 0);
}

/**
 * The logical partitions in the extended ones of `entries`: a chain of boot records, each with one partition (relative to
 * itself) and the next record (relative to the extended partition). Bounded; a broken chain is a finding.
 */
export async function readLogicalPartitions(
  disk: ByteSource,
  entries: readonly MbrEntry[],
): Promise<{ readonly entries: readonly MbrEntry[]; readonly findings: readonly Finding[] }> {
  const logical: MbrEntry[] = [];
  const findings: Finding[] = [];
  for (const extended of entries.filter((entry) => entry.role === 'extended')) {
    let at: number | undefined = extended.firstSector;
    while (at !== undefined) {
      const record = await readChainRecord(disk, at);
      if (record === undefined || logical.length >= MAX_LOGICAL_PARTITIONS) {
        findings.push(brokenChain(at * MBR_SECTOR, record === undefined));
        break;
      }
      const own: MbrEntry | undefined = record.find((entry) => entry.role === 'primary');
      const next: MbrEntry | undefined = record.find((entry) => entry.role === 'extended');
      if (own !== undefined) {
        logical.push({ ...own, index: 5 + logical.length, firstSector: at + own.firstSector, role: 'logical' });
      }
      at = next === undefined || own === undefined ? undefined : extended.firstSector + next.firstSector;
    }
  }
  return { entries: logical, findings };
}

async function readChainRecord(disk: ByteSource, sector: number): Promise<readonly MbrEntry[] | undefined> {
  if ((sector + 1) * MBR_SECTOR > disk.size) return undefined;
  return bootSectorEntries(await readBytes(disk, sector * MBR_SECTOR, MBR_SECTOR));
}

function brokenChain(offset: number, missing: boolean): Finding {
  const message = missing
    ? `The chain of logical partitions is broken: there is no boot record at byte ${offset} of the disk`
    : `The chain of logical partitions has more than ${MAX_LOGICAL_PARTITIONS} links, or comes back to itself`;
  return { code: 'partition-table-damaged', severity: 'warning', offset, message };
}
