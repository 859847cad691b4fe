import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { crc32c, withZeroedField } from '../../bytes/crc32.ts';
import { guidText } from '../../bytes/guid.ts';
import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const FILE_SIGNATURE: Uint8Array = ascii('vhdxfile');
const CREATOR_BYTES = 512;
const HEADER_OFFSETS = [64 * 1024, 128 * 1024];
const HEADER_BYTES = 4096;
const HEADER_SIGNATURE = 0x64616568;
const KNOWN_VERSION = 1;
const NIL_GUID = '00000000-0000-0000-0000-000000000000';

/** One of the two headers, the current one. [MS-VHDX] 2.2.2, "Headers"; numbers little-endian. */
export interface VhdxHeader {
  readonly at: number;
  readonly sequenceNumber: bigint;
  /** True when the log holds entries that were not yet applied: the file must be repaired by replaying it. */
  readonly hasLog: boolean;
  readonly logVersion: number;
  readonly version: number;
  readonly logLength: number;
  readonly logOffset: number;
}

/** What stands at the beginning of the file, and how many of the two headers were usable. */
export interface Headers {
  readonly creator: string;
  readonly current: VhdxHeader;
  readonly usable: number;
}

/**
 * The current header: the usable one with the greater sequence number. Throws `wrong_format` without the file
 * signature, `corrupt` when neither header is usable, `unsupported` for another version than 1, `truncated`.
 */
export async function readHeaders(source: ByteSource): Promise<Headers> {
  const start = await readBytes(source, 0, FILE_SIGNATURE.length + CREATOR_BYTES);
  if (!FILE_SIGNATURE.every((byte, i) => start[i] === byte)) {
    throw new ImageError('wrong_format', 'The file has no VHDX signature', {
      format: 'vhdx',
      structure: 'file identifier',
      offset: 0,
    });
  }
  const usable: VhdxHeader[] = [];
  for (const at of HEADER_OFFSETS) {
    const header = parseHeader(await readBytes(source, at, HEADER_BYTES), at);
    if (header !== undefined) usable.push(header);
  }
  const current = usable.reduce<VhdxHeader | undefined>(
    (best, header) => (best === undefined || header.sequenceNumber > best.sequenceNumber ? header : best),
    undefined,
  );
  if (current === undefined) {
    throw new ImageError('corrupt', 'Neither header has its signature and a valid checksum', {
      format: 'vhdx',
      structure: 'header',
      offset: HEADER_OFFSETS[0] ?? 0,
    });
  }
  if (current.version !== KNOWN_VERSION) {
    throw new ImageError('unsupported', `VHDX version ${current.version} is not known`, {
      format: 'vhdx',
      structure: 'header',
      offset: current.at + 66,
    });
  }
  const creator = new TextDecoder('utf-16le').decode(start.subarray(FILE_SIGNATURE.length)).replace(/\0.*$/s, '');
  return { creator, current, usable: usable.length };
}

function parseHeader(bytes: Uint8Array, at: number): VhdxHeader | undefined {
  const fields = fieldReader(bytes, 'little', { format: 'vhdx', structure: 'header', offset: at });
  if (fields.u32(0) !== HEADER_SIGNATURE || fields.u32(4) !== crc32c(withZeroedField(bytes, 4))) return undefined;
  return {
    at,
    sequenceNumber: fields.bits64(8),
    hasLog: guidText(fields.bytes(48, 16)) !== NIL_GUID,
    logVersion: fields.u16(64),
    version: fields.u16(66),
    logLength: fields.u32(68),
    logOffset: fields.u64(72, 'log offset'),
  };
}
