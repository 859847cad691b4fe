import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { uuidText } from '../../bytes/guid.ts';
import { ascii, asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import { additiveChecksum } from './checksum.ts';

export const DYNAMIC_HEADER_SIZE: number = 1024;
const COOKIE = 'cxsparse';
const HEADER_VERSION = 0x00010000;
/** The field is unused in version 1. */
const NO_DATA_OFFSET = 0xffffffffffffffffn;
const CHECKSUM_AT = 36;
const PARENT_NAME_AT = 64;
const PARENT_NAME_BYTES = 512;
const LOCATORS_AT = 576;
const LOCATOR_SIZE = 24;
const LOCATOR_COUNT = 8;

/** Where the path of the parent is kept for one platform. */
export interface ParentLocator {
  readonly platformCode: string;
  readonly dataLength: number;
  readonly dataOffset: number;
}

/** The header of a dynamic or differencing disk. VHD Image Format Specification 1.0, "Dynamic Disk Header Format". */
export interface DynamicHeader {
  readonly at: number;
  /** Byte offset of the block allocation table. */
  readonly tableOffset: number;
  readonly maxTableEntries: number;
  /** Guest bytes of one block. */
  readonly blockSize: number;
  readonly headerVersion: number;
  readonly parentUniqueId: string;
  readonly parentName: string;
  readonly parentLocators: readonly ParentLocator[];
  readonly checksumValid: boolean;
}

/** The dynamic disk header at `at`. Throws `truncated` past the end of the file, `corrupt` without its cookie. */
export async function readDynamicHeader(source: ByteSource, at: number): Promise<DynamicHeader> {
  checkInside(source.size, at, DYNAMIC_HEADER_SIZE);
  const bytes = await readBytes(source, at, DYNAMIC_HEADER_SIZE);
  const context = { format: 'vhd', structure: 'dynamic disk header', offset: at };
  const fields = fieldReader(bytes, 'big', context);
  if (asciiField(fields.bytes(0, 8)) !== COOKIE) {
    throw new ImageError('corrupt', 'The dynamic disk header does not begin with "cxsparse"', context);
  }
  return {
    at,
    tableOffset: fields.u64(16, 'table offset'),
    headerVersion: fields.u32(24),
    maxTableEntries: fields.u32(28),
    blockSize: fields.u32(32),
    checksumValid: fields.u32(CHECKSUM_AT) === additiveChecksum(bytes, CHECKSUM_AT),
    parentUniqueId: uuidText(fields.bytes(40, 16)),
    parentName: utf16Field(fields.bytes(PARENT_NAME_AT, PARENT_NAME_BYTES)),
    parentLocators: Array.from({ length: LOCATOR_COUNT }, (_, i) => i * LOCATOR_SIZE + LOCATORS_AT)
      .filter((locator) => fields.u32(locator) !== 0)
      .map((locator) => ({
        platformCode: asciiField(fields.bytes(locator, 4)).trim(),
        dataLength: fields.u32(locator + 8),
        dataOffset: fields.u64(locator + 16, 'parent locator offset'),
      })),
  };
}

/** The fields of a new disk's header that differ from disk to disk. */
export interface NewDynamicHeader {
  readonly tableOffset: number;
  readonly maxTableEntries: number;
  readonly blockSize: number;
}

/** The 1024 bytes of the header of a new dynamic disk. */
export function encodeDynamicHeader(header: NewDynamicHeader): Uint8Array {
  const bytes = new Uint8Array(DYNAMIC_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii(COOKIE));
  view.setBigUint64(8, NO_DATA_OFFSET);
  view.setBigUint64(16, BigInt(header.tableOffset));
  view.setUint32(24, HEADER_VERSION);
  view.setUint32(28, header.maxTableEntries);
  view.setUint32(32, header.blockSize);
  view.setUint32(CHECKSUM_AT, additiveChecksum(bytes, CHECKSUM_AT));
  return bytes;
}

function utf16Field(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-16be').decode(bytes);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
