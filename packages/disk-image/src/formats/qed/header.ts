import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const MAGIC: Uint8Array = ascii('QED\0');
const HEADER_BYTES = 64;
/** The longest backing file name that is read. */
export const MAX_BACKING_NAME_BYTES: number = 4096;

/** Bits of the incompatible features field. */
const FEATURE_BACKING_FILE = 1n;
const FEATURE_NEED_CHECK = 2n;
const FEATURE_BACKING_FORMAT_NO_PROBE = 4n;
const KNOWN_FEATURES = FEATURE_BACKING_FILE | FEATURE_NEED_CHECK | FEATURE_BACKING_FORMAT_NO_PROBE;

/** The header; numbers little-endian. QED Image File Format specification, "Header". */
export interface QedHeader {
  readonly clusterSize: number;
  /** Clusters of an L1 or L2 table. */
  readonly tableSize: number;
  readonly hasBackingFile: boolean;
  readonly needsCheck: boolean;
  readonly backingIsRaw: boolean;
  /** Incompatible feature bits that the specification does not define. */
  readonly unknownFeatures: bigint;
  readonly l1TableOffset: number;
  readonly imageSize: number;
  readonly backingNameOffset: number;
  readonly backingNameLength: number;
}

/** The header. Throws `wrong_format` without the magic, `truncated`, or `corrupt` for a number above 2^53. */
export async function readHeader(source: ByteSource): Promise<QedHeader> {
  const bytes = await readBytes(source, 0, HEADER_BYTES);
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw new ImageError('wrong_format', 'The file has no QED magic', {
      format: 'qed',
      structure: 'header',
      offset: 0,
    });
  }
  const fields = fieldReader(bytes, 'little', { format: 'qed', structure: 'header' });
  const features = fields.bits64(16);
  return {
    clusterSize: fields.u32(4),
    tableSize: fields.u32(8),
    hasBackingFile: (features & FEATURE_BACKING_FILE) !== 0n,
    needsCheck: (features & FEATURE_NEED_CHECK) !== 0n,
    backingIsRaw: (features & FEATURE_BACKING_FORMAT_NO_PROBE) !== 0n,
    unknownFeatures: features & ~KNOWN_FEATURES,
    l1TableOffset: fields.u64(40, 'L1 table offset'),
    imageSize: fields.u64(48, 'image size'),
    backingNameOffset: fields.u32(56),
    backingNameLength: fields.u32(60),
  };
}

/** The backing file name. Throws `corrupt` when it is too long, `truncated` when it lies outside the file. */
export async function readBackingName(source: ByteSource, header: QedHeader): Promise<string> {
  const { backingNameOffset: offset, backingNameLength: length } = header;
  if (length > MAX_BACKING_NAME_BYTES) {
    throw new ImageError('corrupt', `A backing file name of ${length} bytes is longer than ${MAX_BACKING_NAME_BYTES}`, {
      format: 'qed',
      structure: 'header',
      offset: 60,
    });
  }
  checkInside(source.size, offset, length);
  return new TextDecoder().decode(await readBytes(source, offset, length));
}

/** Bytes of an L1 or an L2 table. QED specification, "Header", table_size. */
export function tableBytes(header: QedHeader): number {
  return header.clusterSize * header.tableSize;
}
