import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { uuidBytes, uuidText } from '../../bytes/guid.ts';
import { ascii, asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import { additiveChecksum } from './checksum.ts';
import type { Geometry } from './geometry.ts';
import { guestDiskSize } from './geometry.ts';

export const FOOTER_SIZE: number = 512;
/** Virtual PC before 2004 wrote a footer that is one byte shorter. */
export const OLD_FOOTER_SIZE: number = 511;
export const FOOTER_COOKIE: Uint8Array = ascii('conectix');
const CHECKSUM_AT = 64;
/** Where the dynamic disk header of a new disk lies: behind the copy of the footer. */
export const NEW_HEADER_OFFSET: number = FOOTER_SIZE;

/** What the guest disk is made of, by the footer's disk type field. */
export type DiskType = 'fixed' | 'dynamic' | 'differencing' | 'unknown';

/** The hard disk footer. VHD Image Format Specification 1.0 (Microsoft, 2006), "Hard Disk Footer Format". */
export interface Footer {
  readonly at: number;
  readonly diskType: DiskType;
  readonly diskTypeNumber: number;
  /** Byte offset of the dynamic disk header; meaningless for a fixed disk. */
  readonly dataOffset: bigint;
  readonly originalSize: number;
  readonly currentSize: number;
  readonly geometry: Geometry;
  /** Size in bytes of the guest disk: by current size or by geometry, as the creator application says. */
  readonly diskSize: number;
  readonly creatorApplication: string;
  readonly creatorOs: string;
  readonly version: number;
  readonly uniqueId: string;
  readonly savedState: boolean;
  readonly checksumValid: boolean;
}

const DISK_TYPES: Readonly<Record<number, DiskType>> = { 2: 'fixed', 3: 'dynamic', 4: 'differencing' };

/** The footer in `bytes` (511 or 512 of them), which lie at `at`. Throws `corrupt` for a size above 2^53. */
export function parseFooter(bytes: Uint8Array, at: number): Footer {
  const padded = new Uint8Array(FOOTER_SIZE);
  padded.set(bytes.subarray(0, FOOTER_SIZE));
  const fields = fieldReader(padded, 'big', { format: 'vhd', structure: 'footer', offset: at });
  const diskTypeNumber = fields.u32(60);
  const currentSize = fields.u64(48, 'current size');
  const geometry = { cylinders: fields.u16(56), heads: fields.u8(58), sectorsPerTrack: fields.u8(59) };
  const creatorCode = asciiField(fields.bytes(28, 4));
  return {
    at,
    diskTypeNumber,
    diskType: DISK_TYPES[diskTypeNumber] ?? 'unknown',
    dataOffset: fields.bits64(16),
    originalSize: fields.u64(40, 'original size'),
    currentSize,
    geometry,
    diskSize: guestDiskSize({ creatorCode, currentSize, geometry }),
    creatorApplication: creatorCode.trim(),
    creatorOs: asciiField(fields.bytes(36, 4)).trim(),
    version: fields.u32(12),
    uniqueId: uuidText(fields.bytes(68, 16)),
    savedState: fields.u8(84) !== 0,
    checksumValid: fields.u32(CHECKSUM_AT) === additiveChecksum(padded, CHECKSUM_AT),
  };
}

/** The fields of a new disk's footer that differ from disk to disk. */
export interface NewFooter {
  readonly diskType: 'fixed' | 'dynamic';
  readonly virtualSize: number;
  readonly geometry: Geometry;
  /** A UUID in text. */
  readonly uniqueId: string;
}

/** "Reserved", which must be set. */
const FEATURES = 2;
const FILE_FORMAT_VERSION = 0x00010000;
const NO_DATA_OFFSET = 0xffffffffffffffffn;
/** A name that no reader has rules for: those who size by geometry and those who do not come to the same size. */
const CREATOR_APPLICATION = 'dmph';
const CREATOR_VERSION = 0x00010000;
/** Readers know Windows and Macintosh only. */
const CREATOR_OS = 'Wi2k';

/** The 512 bytes of a new disk's footer. The time stamp is 0, the first second of 2000. */
export function encodeFooter(footer: NewFooter): Uint8Array {
  const { geometry, virtualSize } = footer;
  const isFixed = footer.diskType === 'fixed';
  const bytes = new Uint8Array(FOOTER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(FOOTER_COOKIE);
  view.setUint32(8, FEATURES);
  view.setUint32(12, FILE_FORMAT_VERSION);
  view.setBigUint64(16, isFixed ? NO_DATA_OFFSET : BigInt(NEW_HEADER_OFFSET));
  bytes.set(ascii(CREATOR_APPLICATION), 28);
  view.setUint32(32, CREATOR_VERSION);
  bytes.set(ascii(CREATOR_OS), 36);
  view.setBigUint64(40, BigInt(virtualSize));
  view.setBigUint64(48, BigInt(virtualSize));
  view.setUint16(56, geometry.cylinders);
  view.setUint8(58, geometry.heads);
  view.setUint8(59, geometry.sectorsPerTrack);
  view.setUint32(60, isFixed ? 2 : 3);
  bytes.set(uuidBytes(footer.uniqueId), 68);
  view.setUint32(CHECKSUM_AT, additiveChecksum(bytes, CHECKSUM_AT));
  return bytes;
}

/** Where in the file footers stand: at the end (512 or 511 bytes), and its copy at the beginning of a dynamic disk. */
export interface FooterPlaces {
  readonly end: Footer | undefined;
  readonly copy: Footer | undefined;
}

/** The footers that the file has. Throws `wrong_format` when it has none. */
export async function readFooters(source: ByteSource): Promise<FooterPlaces> {
  const end =
    (await footerAt(source, source.size - FOOTER_SIZE, FOOTER_SIZE)) ??
    (await footerAt(source, source.size - OLD_FOOTER_SIZE, OLD_FOOTER_SIZE));
  const copy = end?.at === 0 ? undefined : await footerAt(source, 0, FOOTER_SIZE);
  if (end !== undefined || copy !== undefined) return { end, copy };
  throw new ImageError('wrong_format', 'The file has no VHD footer', { format: 'vhd', structure: 'footer' });
}

async function footerAt(source: ByteSource, at: number, length: number): Promise<Footer | undefined> {
  if (at < 0 || at + length > source.size) return undefined;
  const bytes = await readBytes(source, at, length);
  return hasCookie(bytes, 0) ? parseFooter(bytes, at) : undefined;
}

/** True when the footer's cookie stands at `at`. */
export function hasCookie(bytes: Uint8Array, at: number): boolean {
  return at >= 0 && FOOTER_COOKIE.every((byte, i) => bytes[at + i] === byte);
}
