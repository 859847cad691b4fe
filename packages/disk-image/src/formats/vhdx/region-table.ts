import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { crc32c, withZeroedField } from '../../bytes/crc32.ts';
import { guidBytes, guidText } from '../../bytes/guid.ts';
import { checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { KIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

/** Where the two copies of the table stand. */
export const REGION_TABLE_OFFSETS: readonly [number, number] = [192 * KIB, 256 * KIB];
const TABLE_BYTES = 64 * KIB;
const SIGNATURE = 0x69676572;
const CHECKSUM_AT = 4;
const ENTRIES_AT = 16;
const ENTRY_BYTES = 32;
/** The specification's limit. */
const MAX_ENTRIES = 2047;

export const BAT_REGION = '2dc27766-f623-4200-9d64-115e9bfd4a08';
export const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e';

/** A part of the file with a purpose of its own. */
export interface Region {
  readonly guid: string;
  /** Byte offset in the file. */
  readonly fileOffset: number;
  readonly length: number;
  /** A reader that does not know the region must not open the file. */
  readonly required: boolean;
}

/** The regions, and how many of the two copies of the table were usable. */
export interface RegionTable {
  readonly regions: readonly Region[];
  readonly usable: number;
}

/** The regions of the first usable region table. [MS-VHDX] 2.2.3. Throws `corrupt` when neither is usable, `truncated`. */
export async function readRegionTable(source: ByteSource): Promise<RegionTable> {
  const [firstAt, secondAt] = REGION_TABLE_OFFSETS;
  const first = parseRegionTable(await readBytes(source, firstAt, TABLE_BYTES), firstAt);
  const second = parseRegionTable(await readBytes(source, secondAt, TABLE_BYTES), secondAt);
  const regions = first ?? second;
  if (regions !== undefined) return { regions, usable: first === undefined || second === undefined ? 1 : 2 };
  throw vhdxError(
    'corrupt',
    'Neither region table has its signature and a valid checksum',
    'region table',
    REGION_TABLE_OFFSETS[0],
  );
}

function parseRegionTable(bytes: Uint8Array, at: number): readonly Region[] | undefined {
  const context = { format: 'vhdx', structure: 'region table', offset: at };
  const fields = fieldReader(bytes, 'little', context);
  const checksum = crc32c(withZeroedField(bytes, CHECKSUM_AT));
  if (fields.u32(0) !== SIGNATURE || fields.u32(CHECKSUM_AT) !== checksum) return undefined;
  const count = checkedRange(fields.u32(8), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  return Array.from({ length: count }, (_, i) => ENTRIES_AT + i * ENTRY_BYTES).map((entry) => ({
    guid: guidText(fields.bytes(entry, 16)),
    fileOffset: fields.u64(entry + 16, 'region offset'),
    length: fields.u32(entry + 24),
    required: (fields.u32(entry + 28) & 1) !== 0,
  }));
}

/** The region of that GUID. Throws `corrupt` when the table has none. */
export function requiredRegion(regions: readonly Region[], guid: string): Region {
  const region = regions.find((candidate) => candidate.guid === guid);
  if (region !== undefined) return region;
  throw vhdxError('corrupt', `The region ${guid} is missing`, 'region table', REGION_TABLE_OFFSETS[0]);
}

/** The 64 KiB of a region table with its checksum. */
export function encodeRegionTable(regions: readonly Region[]): Uint8Array {
  const bytes = new Uint8Array(TABLE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SIGNATURE, true);
  view.setUint32(8, regions.length, true);
  for (const [index, { guid, fileOffset, length, required }] of regions.entries()) {
    const entry = ENTRIES_AT + index * ENTRY_BYTES;
    bytes.set(guidBytes(guid), entry);
    view.setBigUint64(entry + 16, BigInt(fileOffset), true);
    view.setUint32(entry + 24, length, true);
    view.setUint32(entry + 28, required ? 1 : 0, true);
  }
  view.setUint32(CHECKSUM_AT, crc32c(bytes), true);
  return bytes;
}
