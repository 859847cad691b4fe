import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { crc32c, withZeroedField } from '../../bytes/crc32.ts';
import { guidText } from '../../bytes/guid.ts';
import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { KIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

export const FILE_SIGNATURE: Uint8Array = ascii('vhdxfile');
const CREATOR_BYTES = 512;
/** Where the two headers stand. */
export const HEADER_OFFSETS: readonly [number, number] = [64 * KIB, 128 * KIB];
const HEADER_BYTES = 4096;
const HEADER_SIGNATURE = 0x64616568;
const CHECKSUM_AT = 4;
const KNOWN_VERSION = 1;
const NIL_GUID = '00000000-0000-0000-0000-000000000000';

/** One of the two headers. [MS-VHDX] 2.2.2, "Headers"; numbers little-endian. */
export interface VhdxHeader {
  readonly at: number;
  readonly sequenceNumber: bigint;
  /** Changes with every write to the guest bytes; a differencing child records it. */
  readonly dataWriteGuid: string;
  readonly logGuid: string;
  /** True when the log holds entries that were not yet applied: the file must be read through them. */
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
 * signature, `corrupt` when no header is current, `unsupported` for another version than 1, `truncated`.
 */
export async function readHeaders(source: ByteSource): Promise<Headers> {
  const start = await readBytes(source, 0, FILE_SIGNATURE.length + CREATOR_BYTES);
  if (!FILE_SIGNATURE.every((byte, i) => start[i] === byte)) {
    throw vhdxError('wrong_format', 'The file has no VHDX signature', 'file identifier', 0);
  }
  const first = await readHeader(source, HEADER_OFFSETS[0]);
  const second = await readHeader(source, HEADER_OFFSETS[1]);
  const current = currentHeader(first, second);
  if (current.version !== KNOWN_VERSION) {
    throw vhdxError('unsupported', `VHDX version ${current.version} is not known`, 'header', current.at + 66);
  }
  const creator = new TextDecoder('utf-16le').decode(start.subarray(FILE_SIGNATURE.length)).replace(/\0.*$/s, '');
  return { creator, current, usable: first === undefined || second === undefined ? 1 : 2 };
}

/** [MS-VHDX] 2.2.2: two usable headers of one sequence number leave none current. */
function currentHeader(first: VhdxHeader | undefined, second: VhdxHeader | undefined): VhdxHeader {
  const context = ['header', HEADER_OFFSETS[0]] as const;
  const only = first ?? second;
  if (only === undefined) {
    throw vhdxError('corrupt', 'Neither header has its signature and a valid checksum', ...context);
  }
  if (first === undefined || second === undefined) return only;
  if (first.sequenceNumber === second.sequenceNumber) {
    throw vhdxError('corrupt', 'Both headers have the same sequence number, so neither is the current one', ...context);
  }
  return first.sequenceNumber > second.sequenceNumber ? first : second;
}

async function readHeader(source: ByteSource, at: number): Promise<VhdxHeader | undefined> {
  const bytes = await readBytes(source, at, HEADER_BYTES);
  const fields = fieldReader(bytes, 'little', { format: 'vhdx', structure: 'header', offset: at });
  const checksum = crc32c(withZeroedField(bytes, CHECKSUM_AT));
  if (fields.u32(0) !== HEADER_SIGNATURE || fields.u32(CHECKSUM_AT) !== checksum) return undefined;
  const logGuid = guidText(fields.bytes(48, 16));
  return {
    at,
    sequenceNumber: fields.bits64(8),
    dataWriteGuid: guidText(fields.bytes(32, 16)),
    logGuid,
    hasLog: logGuid !== NIL_GUID,
    logVersion: fields.u16(64),
    version: fields.u16(66),
    logLength: fields.u32(68),
    logOffset: fields.u64(72, 'log offset'),
  };
}

/** What the writer decides about a header; its log is empty. GUIDs are 16 bytes. */
export interface NewHeader {
  readonly sequenceNumber: number;
  readonly fileWriteGuid: Uint8Array;
  readonly dataWriteGuid: Uint8Array;
  readonly logOffset: number;
  readonly logLength: number;
}

/** The 4 KiB of a header with its checksum. */
export function encodeHeader(header: NewHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, HEADER_SIGNATURE, true);
  view.setBigUint64(8, BigInt(header.sequenceNumber), true);
  bytes.set(header.fileWriteGuid, 16);
  bytes.set(header.dataWriteGuid, 32);
  view.setUint16(66, KNOWN_VERSION, true);
  view.setUint32(68, header.logLength, true);
  view.setBigUint64(72, BigInt(header.logOffset), true);
  view.setUint32(CHECKSUM_AT, crc32c(bytes), true);
  return bytes;
}

/** The file identifier: signature and creator. [MS-VHDX] 2.2.1. */
export function encodeFileIdentifier(creator: string): Uint8Array {
  const bytes = new Uint8Array(FILE_SIGNATURE.length + CREATOR_BYTES);
  bytes.set(FILE_SIGNATURE);
  const view = new DataView(bytes.buffer, FILE_SIGNATURE.length);
  for (let i = 0; i < creator.length && i * 2 < CREATOR_BYTES; i++) view.setUint16(i * 2, creator.charCodeAt(i), true);
  return bytes;
}
