import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const MAGIC: number = 0x514649fb;
/** The one version of this format; later versions of the same magic are another format. */
export const VERSION: number = 1;
const HEADER_BYTES = 48;
/** The specification's limit for a backing file name. */
const MAX_BACKING_NAME_BYTES = 1023;

/** The header of version 1, numbers big-endian. "The QCOW Image Format" (Mark McLoughlin, 2006), version 1. */
export interface QcowHeader {
  readonly backingNameOffset: number;
  readonly backingNameLength: number;
  /** Size in bytes of the guest disk. */
  readonly diskSize: number;
  readonly clusterBits: number;
  readonly l2Bits: number;
  /** 0: none, 1: AES-CBC. */
  readonly cryptMethod: number;
  readonly l1TableOffset: number;
}

/** The header. Throws `wrong_format` without magic or version, `truncated`, or `corrupt`. */
export async function readHeader(source: ByteSource): Promise<QcowHeader> {
  const fields = fieldReader(await readBytes(source, 0, HEADER_BYTES), 'big', { format: 'qcow', structure: 'header' });
  if (fields.u32(0) !== MAGIC || fields.u32(4) !== VERSION) {
    throw new ImageError('wrong_format', 'The file has no header of qcow version 1', {
      format: 'qcow',
      structure: 'header',
      offset: 0,
    });
  }
  return {
    backingNameOffset: fields.u64(8, 'backing file offset'),
    backingNameLength: fields.u32(16),
    diskSize: fields.u64(24, 'disk size'),
    clusterBits: fields.u8(32),
    l2Bits: fields.u8(33),
    cryptMethod: fields.u32(36),
    l1TableOffset: fields.u64(40, 'L1 table offset'),
  };
}

/** The backing file name, undefined when there is none. Throws `corrupt` (too long) or `truncated`. */
export async function readBackingName(source: ByteSource, header: QcowHeader): Promise<string | undefined> {
  const { backingNameOffset: offset, backingNameLength: length } = header;
  if (offset === 0 || length === 0) return undefined;
  if (length > MAX_BACKING_NAME_BYTES) {
    throw new ImageError('corrupt', `A backing file name of ${length} bytes is longer than ${MAX_BACKING_NAME_BYTES}`, {
      format: 'qcow',
      structure: 'header',
      offset: 16,
    });
  }
  checkInside(source.size, offset, length);
  return new TextDecoder().decode(await readBytes(source, offset, length));
}

/** Bytes of the L1 table: one u64 for each L2 table that the disk needs. */
export function l1Bytes(header: QcowHeader): number {
  return Math.ceil(header.diskSize / 2 ** (header.clusterBits + header.l2Bits)) * 8;
}
