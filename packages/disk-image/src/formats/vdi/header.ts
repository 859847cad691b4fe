import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { guidBytes, guidText } from '../../bytes/guid.ts';
import { ascii, asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import { SECTOR_SIZE } from './limits.ts';

export const SIGNATURE: number = 0xbeda107f;
export const SIGNATURE_AT: number = 64;
/** Pre-header and header with room: the block map of a new image follows. */
export const HEADER_BYTES = 512;
const KNOWN_MAJOR_VERSION = 1;
const VERSION_1_1 = 0x00010001;
/** Bytes of the header behind the pre-header's 72, the second disk geometry included, as VirtualBox writes them. */
const NEW_HEADER_SIZE = 400;
/** Where the header ends; readers may rely on no more than this before the tables. */
export const HEADER_END: number = 72 + NEW_HEADER_SIZE;
const NEW_TEXT = '<<< diskmorph virtual disk image >>>\n';
/** In the parent fields of an image that stands alone. */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

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
  /** Changes with the guest bytes. */
  readonly modificationUuid: string;
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
    modificationUuid: guidText(fields.bytes(408, 16)),
    parentUuid: guidText(fields.bytes(424, 16)),
    parentModificationUuid: guidText(fields.bytes(440, 16)),
  };
}

/** The fields of a new image's header that differ from image to image. */
export interface NewHeader {
  readonly imageType: 'dynamic' | 'static';
  readonly blockMapOffset: number;
  readonly dataOffset: number;
  readonly diskSize: number;
  readonly blockSize: number;
  readonly blockCount: number;
  readonly allocatedBlockCount: number;
  /** UUIDs in text. */
  readonly imageUuid: string;
  readonly modificationUuid: string;
}

/** Pre-header and header 1.1, padded with zeros to 512 bytes. Disk geometries are left to the reader. */
export function encodeHeader(header: NewHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (at: number, value: number): void => view.setUint32(at, value, true);
  bytes.set(ascii(NEW_TEXT));
  put(SIGNATURE_AT, SIGNATURE);
  put(68, VERSION_1_1);
  put(72, NEW_HEADER_SIZE);
  put(76, header.imageType === 'static' ? 2 : 1);
  put(340, header.blockMapOffset);
  put(344, header.dataOffset);
  put(360, SECTOR_SIZE);
  view.setBigUint64(368, BigInt(header.diskSize), true);
  put(376, header.blockSize);
  put(384, header.blockCount);
  put(388, header.allocatedBlockCount);
  bytes.set(guidBytes(header.imageUuid), 392);
  bytes.set(guidBytes(header.modificationUuid), 408);
  put(468, SECTOR_SIZE);
  return bytes;
}
