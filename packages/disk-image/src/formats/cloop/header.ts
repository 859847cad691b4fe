import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

/** A shell script, so that the file can mount itself; the version line is what makes it an image. */
export const SIGNATURE: Uint8Array = ascii('#!/bin/sh\n#V2.0 Format\n');
const SCRIPT_BYTES = 128;
/** Byte offset of the block offsets: one u64 for each block and one for the end of the last. */
export const OFFSETS_AT: number = SCRIPT_BYTES + 8;

/** The numbers after the script, big-endian. cloop 2.x sources' documentation of the "V2.0" format. */
export interface CloopHeader {
  /** Guest bytes of one block, before zlib. */
  readonly blockSize: number;
  readonly blockCount: number;
}

/** The header. Throws `wrong_format` without the script, `truncated`, or `corrupt` for an impossible size. */
export async function readHeader(source: ByteSource): Promise<CloopHeader> {
  const bytes = await readBytes(source, 0, OFFSETS_AT);
  if (!hasSignature(bytes)) {
    throw new ImageError('wrong_format', 'The file does not begin with the cloop script', {
      format: 'cloop',
      structure: 'header',
      offset: 0,
    });
  }
  const fields = fieldReader(bytes, 'big', { format: 'cloop', structure: 'header' });
  const header = { blockSize: fields.u32(SCRIPT_BYTES), blockCount: fields.u32(SCRIPT_BYTES + 4) };
  if (Number.isSafeInteger(header.blockSize * header.blockCount)) return header;
  throw new ImageError('corrupt', `${header.blockCount} blocks of ${header.blockSize} bytes are not possible`, {
    format: 'cloop',
    structure: 'header',
    offset: SCRIPT_BYTES,
  });
}

/** True when the bytes begin with the script. */
export function hasSignature(bytes: Uint8Array): boolean {
  return bytes.length >= SIGNATURE.length && SIGNATURE.every((byte, i) => bytes[i] === byte);
}
