import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { guidText } from '../../bytes/guid.ts';
import { asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const SIGNATURE: number = 0xbeda107f;
export const SIGNATURE_AT: number = 64;
const HEADER_BYTES = 512;
const KNOWN_MAJOR_VERSION = 1;

/** What the image type field says. */
export type ImageType = 'dynamic' | 'static' | 'undo' | 'differencing' | 'unknown';
const IMAGE_TYPES: Readonly<Record<number, ImageType>> = { 1: 'dynamic', 2: 'static', 3: 'undo', 4: 'differencing' };

/** The header of version 1.1, as VirtualBox writes it: all numbers little-endian, offsets from the start of the file. */
export interface VdiHeader {
  readonly text: string;
  readonly version: string;
  readonly headerSize: number;
  readonly imageType: ImageType;
  readonly imageTypeNumber: number;
  readonly description: string;
  /** Byte offset of the block map: one u32 for each block of the guest disk. */
  readonly blockMapOffset: number;
  /** Byte offset of the first block. */
  readonly dataOffset: number;
  readonly sectorSize: number;
  readonly diskSize: number;
  readonly blockSize: number;
  /** Bytes before the guest bytes of each block. */
  readonly blockExtraSize: number;
  readonly blockCount: number;
  readonly allocatedBlockCount: number;
  readonly imageUuid: string;
  readonly parentUuid: string;
  readonly parentModificationUuid: string;
}

/** The header. Throws `wrong_format` without the signature, `unsupported` for another major version than 1. */
export async function readHeader(source: ByteSource): Promise<VdiHeader> {
  const fields = fieldReader(await readBytes(source, 0, HEADER_BYTES), 'little', {
    format: 'vdi',
    structure: 'header',
  });
  if (fields.u32(SIGNATURE_AT) !== SIGNATURE) {
    throw new ImageError('wrong_format', 'The file has no VDI signature', {
      format: 'vdi',
      structure: 'header',
      offset: SIGNATURE_AT,
    });
  }
  const version = fields.u32(68);
  if (version >>> 16 !== KNOWN_MAJOR_VERSION) {
    throw new ImageError('unsupported', `VDI version ${version >>> 16}.${version & 0xffff} is not known`, {
      format: 'vdi',
      structure: 'header',
      offset: 68,
    });
  }
  const imageTypeNumber = fields.u32(76);
  return {
    text: asciiField(fields.bytes(0, 64)).trim(),
    version: `${version >>> 16}.${version & 0xffff}`,
    headerSize: fields.u32(72),
    imageTypeNumber,
    imageType: IMAGE_TYPES[imageTypeNumber] ?? 'unknown',
    description: asciiField(fields.bytes(84, 256)),
    blockMapOffset: fields.u32(340),
    dataOffset: fields.u32(344),
    sectorSize: fields.u32(360),
    diskSize: fields.u64(368, 'disk size'),
    blockSize: fields.u32(376),
    blockExtraSize: fields.u32(380),
    blockCount: fields.u32(384),
    allocatedBlockCount: fields.u32(388),
    imageUuid: guidText(fields.bytes(392, 16)),
    parentUuid: guidText(fields.bytes(424, 16)),
    parentModificationUuid: guidText(fields.bytes(440, 16)),
  };
}
