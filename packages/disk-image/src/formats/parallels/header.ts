import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const HEADER_BYTES: number = 64;
export const SECTOR: number = 512;
/** The magic of the older variant, whose BAT counts sectors and whose size field has 32 bits. */
export const OLD_MAGIC = 'WithoutFreeSpace';
/** The magic of the newer variant, whose BAT counts whole blocks. */
export const NEW_MAGIC = 'WithouFreSpacExt';
const IN_USE = 0x746f6e59;

/** The header of an expandable image, numbers little-endian. Parallels Expandable Image File Format, "Header". */
export interface ParallelsHeader {
  readonly magic: typeof OLD_MAGIC | typeof NEW_MAGIC;
  readonly version: number;
  /** Sectors of one block. */
  readonly blockSectors: number;
  readonly batEntries: number;
  readonly diskSectors: number;
  readonly inUse: boolean;
  /** Sector where blocks begin; 0 in old images. */
  readonly dataSector: number;
  /** Bit 0 of the flags: the image is known to be empty. */
  readonly isEmpty: boolean;
  /** Sector of the format extension, 0 for none. */
  readonly extensionSector: number;
}

/** The header. Throws `wrong_format` without one of the two magics, `truncated`, or `corrupt`. */
export async function readHeader(source: ByteSource): Promise<ParallelsHeader> {
  const fields = fieldReader(await readBytes(source, 0, HEADER_BYTES), 'little', {
    format: 'parallels',
    structure: 'header',
  });
  const magic = asciiField(fields.bytes(0, 16));
  if (magic !== OLD_MAGIC && magic !== NEW_MAGIC) {
    throw new ImageError('wrong_format', 'The file has no Parallels magic', {
      format: 'parallels',
      structure: 'header',
      offset: 0,
    });
  }
  return {
    magic,
    version: fields.u32(16),
    blockSectors: fields.u32(28),
    batEntries: fields.u32(32),
    diskSectors: magic === OLD_MAGIC ? fields.u32(36) : fields.u64(36, 'disk size in sectors'),
    inUse: fields.u32(44) === IN_USE,
    dataSector: fields.u32(48),
    isEmpty: (fields.u32(52) & 1) !== 0,
    extensionSector: fields.u64(56, 'format extension offset'),
  };
}

/** Sectors that one unit of a BAT entry stands for: 1 in old images, a block in new ones. */
export function sectorsPerEntry(header: ParallelsHeader): number {
  return header.magic === OLD_MAGIC ? 1 : header.blockSectors;
}

/** The first byte of the file that may hold guest bytes. */
export function dataStart(header: ParallelsHeader): number {
  return Math.max(header.dataSector * SECTOR, HEADER_BYTES + header.batEntries * 4);
}
