import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { crc32c, withZeroedField } from '../../bytes/crc32.ts';
import { guidText } from '../../bytes/guid.ts';
import { checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

const TABLE_OFFSETS = [192 * 1024, 256 * 1024];
const TABLE_BYTES = 64 * 1024;
const SIGNATURE = 0x69676572;
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

/** The regions of the first usable region table. [MS-VHDX] 2.2.3. Throws `corrupt` when neither is usable, `truncated`. */
export async function readRegionTable(source: ByteSource): Promise<readonly Region[]> {
  for (const at of TABLE_OFFSETS) {
    const regions = parseRegionTable(await readBytes(source, at, TABLE_BYTES), at);
    if (regions !== undefined) return regions;
  }
  throw new ImageError('corrupt', 'Neither region table has its signature and a valid checksum', {
    format: 'vhdx',
    structure: 'region table',
    offset: TABLE_OFFSETS[0] ?? 0,
  });
}

function parseRegionTable(bytes: Uint8Array, at: number): readonly Region[] | undefined {
  const context = { format: 'vhdx', structure: 'region table', offset: at };
  const fields = fieldReader(bytes, 'little', context);
  if (fields.u32(0) !== SIGNATURE || fields.u32(4) !== crc32c(withZeroedField(bytes, 4))) return undefined;
  const count = checkedRange(fields.u32(8), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  return Array.from({ length: count }, (_, i) => 16 + i * 32).map((entry) => ({
    guid: guidText(fields.bytes(entry, 16)),
    fileOffset: fields.u64(entry + 16, 'region offset'),
    length: fields.u32(entry + 24),
    required: (fields.u32(entry + 28) & 1) !== 0,
  }));
}
