import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { uuidText } from '../../bytes/guid.ts';
import { ascii, asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import { additiveChecksum } from './checksum.ts';

export const FOOTER_SIZE: number = 512;
/** Virtual PC before 2004 wrote a footer that is one byte shorter. */
export const OLD_FOOTER_SIZE: number = 511;
export const FOOTER_COOKIE: Uint8Array = ascii('conectix');
const CHECKSUM_AT = 64;

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
  /** Size in bytes of the guest disk. */
  readonly currentSize: number;
  readonly geometry: { readonly cylinders: number; readonly heads: number; readonly sectorsPerTrack: number };
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
  return {
    at,
    diskTypeNumber,
    diskType: DISK_TYPES[diskTypeNumber] ?? 'unknown',
    dataOffset: fields.bits64(16),
    originalSize: fields.u64(40, 'original size'),
    currentSize: fields.u64(48, 'current size'),
    geometry: { cylinders: fields.u16(56), heads: fields.u8(58), sectorsPerTrack: fields.u8(59) },
    creatorApplication: asciiField(fields.bytes(28, 4)).trim(),
    creatorOs: asciiField(fields.bytes(36, 4)).trim(),
    version: fields.u32(12),
    uniqueId: uuidText(fields.bytes(68, 16)),
    savedState: fields.u8(84) !== 0,
    checksumValid: fields.u32(CHECKSUM_AT) === additiveChecksum(padded, CHECKSUM_AT),
  };
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
