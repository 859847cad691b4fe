import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const MAGIC = 'Bochs Virtual HD Image';
export const MAGIC_FIELD_BYTES: number = 32;
/** A catalog entry of an extent that was never written. */
export const UNALLOCATED: number = 0xffffffff;
const HEADER_BYTES = 512;
const VERSION_1 = 0x00010000;
const VERSION_2 = 0x00020000;

/** The redolog header, numbers little-endian. Bochs Developers Guide, "Harddisk images: redolog header". */
export interface BochsHeader {
  /** "Redolog". */
  readonly type: string;
  /** "Growing", "Undoable" or "Volatile"; the last two hold differences from another disk. */
  readonly subtype: string;
  readonly version: number;
  readonly headerSize: number;
  readonly catalogEntries: number;
  readonly bitmapSize: number;
  readonly extentSize: number;
  readonly diskSize: number;
}

/** The header. Throws `wrong_format` without the magic, `unsupported` for an unknown version, `truncated`, `corrupt`. */
export async function readHeader(source: ByteSource): Promise<BochsHeader> {
  const fields = fieldReader(await readBytes(source, 0, HEADER_BYTES), 'little', {
    format: 'bochs',
    structure: 'header',
  });
  if (asciiField(fields.bytes(0, MAGIC_FIELD_BYTES)) !== MAGIC) {
    throw new ImageError('wrong_format', 'The file has no Bochs magic', {
      format: 'bochs',
      structure: 'header',
      offset: 0,
    });
  }
  const version = fields.u32(64);
  if (version !== VERSION_1 && version !== VERSION_2) {
    throw new ImageError('unsupported', `Version 0x${version.toString(16)} of the redolog is not known`, {
      format: 'bochs',
      structure: 'header',
      offset: 64,
    });
  }
  return {
    type: asciiField(fields.bytes(32, 16)),
    subtype: asciiField(fields.bytes(48, 16)),
    version: version >>> 16,
    headerSize: fields.u32(68),
    catalogEntries: fields.u32(72),
    bitmapSize: fields.u32(76),
    extentSize: fields.u32(80),
    diskSize: fields.u64(version === VERSION_1 ? 84 : 88, 'disk size'),
  };
}
