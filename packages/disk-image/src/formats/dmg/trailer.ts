import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const TRAILER_BYTES: number = 512;
export const SIGNATURE: Uint8Array = ascii('koly');
/** The first 8 bytes of an image encrypted as a whole (version 2 of Apple's encrypted container). */
export const ENCRYPTED_SIGNATURE: Uint8Array = ascii('encrcdsa');
export const SECTOR: number = 512;
const MAX_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR);

/** The trailer of a UDIF image, numbers big-endian, at the end of the file. Apple's UDIF resource file structure. */
export interface UdifTrailer {
  readonly at: number;
  readonly version: number;
  readonly dataForkOffset: number;
  readonly dataForkLength: number;
  /** Where old images have their block tables; length 0 for none. */
  readonly resourceForkOffset: number;
  readonly resourceForkLength: number;
  readonly segmentNumber: number;
  readonly segmentCount: number;
  /** Byte offset of the property list that maps the blocks; 0 in old images. */
  readonly propertyListOffset: number;
  readonly propertyListLength: number;
  readonly imageVariant: number;
  /** Size in bytes of the guest disk. */
  readonly diskSize: number;
}

/** The trailer. Throws `wrong_format` without its signature, `corrupt` for an impossible number. */
export async function readTrailer(source: ByteSource): Promise<UdifTrailer> {
  const at = source.size - TRAILER_BYTES;
  const context = { format: 'dmg', structure: 'trailer', offset: Math.max(0, at) };
  const bytes = at < 0 ? new Uint8Array(TRAILER_BYTES) : await readBytes(source, at, TRAILER_BYTES);
  if (!beginsWith(bytes, SIGNATURE)) throw new ImageError('wrong_format', 'The file has no UDIF trailer', context);
  const fields = fieldReader(bytes, 'big', context);
  const sectors = fields.u64(492, 'sector count');
  if (sectors > MAX_SECTORS) throw new ImageError('corrupt', `A disk of ${sectors} sectors is not possible`, context);
  return {
    at,
    version: fields.u32(4),
    dataForkOffset: fields.u64(24, 'data fork offset'),
    dataForkLength: fields.u64(32, 'data fork length'),
    resourceForkOffset: fields.u64(40, 'resource fork offset'),
    resourceForkLength: fields.u64(48, 'resource fork length'),
    segmentNumber: fields.u32(56),
    segmentCount: fields.u32(60),
    propertyListOffset: fields.u64(216, 'property list offset'),
    propertyListLength: fields.u64(224, 'property list length'),
    imageVariant: fields.u32(488),
    diskSize: sectors * SECTOR,
  };
}

/** True when `bytes` begin with `signature`. */
export function beginsWith(bytes: Uint8Array, signature: Uint8Array): boolean {
  return bytes.length >= signature.length && signature.every((byte, i) => bytes[i] === byte);
}
