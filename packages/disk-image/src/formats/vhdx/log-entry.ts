import { crc32c } from '../../bytes/crc32.ts';
import { guidText } from '../../bytes/guid.ts';
import { alignUp } from '../../bytes/numbers.ts';
import { MAX_LOG_SCANS } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

/** Entries, their parts and the places they write to are multiples of this. */
export const LOG_SECTOR = 4096;
const ENTRY_SIGNATURE = 0x65676f6c;
const ZERO_SIGNATURE = 0x6f72657a;
const DATA_DESCRIPTOR_SIGNATURE = 0x63736564;
const DATA_SECTOR_SIGNATURE = 0x61746164;
const HEADER_BYTES = 64;
const DESCRIPTOR_BYTES = 32;
const CHECKSUM_AT = 4;
/** What a data sector's own fields displace, kept in its descriptor. */
const LEADING_BYTES = 8;
const TRAILING_BYTES = 4;

/** The log as it lies in memory, and what is spent on searching it. */
export interface Log {
  /** The whole log, a ring. */
  readonly bytes: Uint8Array;
  /** Byte offset in the file. */
  readonly fileOffset: number;
  readonly guid: string;
  /** Bytes that may still be summed. */
  budget: number;
}

/** The log in `bytes`, not looked at yet. */
export function unreadLog(bytes: Uint8Array, fileOffset: number, guid: string): Log {
  return { bytes, fileOffset, guid, budget: bytes.length * MAX_LOG_SCANS };
}

/** One change to the file: a sector of data, or zeros. */
export interface LogUpdate {
  /** Byte offset in the file, a multiple of 4 KiB. */
  readonly fileOffset: bigint;
  readonly length: bigint;
  /** The new bytes; zeros when undefined. */
  readonly data: Uint8Array | undefined;
}

/** An entry that has passed all checks. [MS-VHDX] 2.3.1. */
export interface LogEntry {
  /** Byte offset in the log. */
  readonly at: number;
  readonly length: number;
  /** Byte offset in the log of the oldest entry that was not applied when this one was written. */
  readonly tail: number;
  readonly sequenceNumber: bigint;
  /** The file had at least this length on stable storage. */
  readonly flushedFileOffset: bigint;
  readonly updates: readonly LogUpdate[];
}

/**
 * The entry at byte `at` of the log, or undefined when no valid one is there: torn, old, or of another log.
 * Throws `corrupt` when the log asks for more summing than any honest one.
 */
export function parseLogEntry(log: Log, at: number): LogEntry | undefined {
  const head = new DataView(log.bytes.buffer, log.bytes.byteOffset + at, HEADER_BYTES);
  const length = head.getUint32(8, true);
  const tail = head.getUint32(12, true);
  const sequenceNumber = head.getBigUint64(16, true);
  const plausible =
    head.getUint32(0, true) === ENTRY_SIGNATURE &&
    length > 0 &&
    length % LOG_SECTOR === 0 &&
    length <= log.bytes.length &&
    tail % LOG_SECTOR === 0 &&
    tail < log.bytes.length &&
    sequenceNumber > 0n &&
    guidText(log.bytes.subarray(at + 32, at + 48)) === log.guid;
  if (!plausible) return undefined;
  spend(log, length);
  const bytes = ringBytes(log, at, length);
  if (checksumOf(bytes) !== head.getUint32(CHECKSUM_AT, true)) return undefined;
  const updates = parseUpdates(bytes, head.getUint32(24, true), sequenceNumber);
  if (updates === undefined) return undefined;
  return { at, length, tail, sequenceNumber, flushedFileOffset: head.getBigUint64(48, true), updates };
}

function spend(log: Log, length: number): void {
  log.budget -= length;
  if (log.budget >= 0) return;
  throw vhdxError('corrupt', 'The log is full of entries that lie over each other', 'log', log.fileOffset);
}

/** A copy, since an entry may go on at the beginning of the ring. */
function ringBytes(log: Log, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const first = log.bytes.subarray(at, Math.min(log.bytes.length, at + length));
  bytes.set(first);
  bytes.set(log.bytes.subarray(0, length - first.length), first.length);
  return bytes;
}

/** The sum with its own field as zero; the copy keeps the zeros. */
function checksumOf(bytes: Uint8Array): number {
  bytes.fill(0, CHECKSUM_AT, CHECKSUM_AT + 4);
  return crc32c(bytes);
}

/** The changes, or undefined when a descriptor or data sector is not what it must be. Puts displaced bytes back in place. */
function parseUpdates(bytes: Uint8Array, count: number, sequenceNumber: bigint): LogUpdate[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let sectorAt = alignUp(HEADER_BYTES + count * DESCRIPTOR_BYTES, LOG_SECTOR);
  if (sectorAt > bytes.length) return undefined;
  const updates: LogUpdate[] = [];
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * DESCRIPTOR_BYTES;
    const signature = view.getUint32(at, true);
    const fileOffset = view.getBigUint64(at + 16, true);
    const isUnaligned = fileOffset % BigInt(LOG_SECTOR) !== 0n;
    if (isUnaligned || view.getBigUint64(at + 24, true) !== sequenceNumber) return undefined;
    if (signature === ZERO_SIGNATURE) {
      const length = view.getBigUint64(at + 8, true);
      if (length % BigInt(LOG_SECTOR) !== 0n) return undefined;
      updates.push({ fileOffset, length, data: undefined });
    } else {
      const end = sectorAt + LOG_SECTOR;
      if (signature !== DATA_DESCRIPTOR_SIGNATURE || end > bytes.length) return undefined;
      const data = dataSector(bytes.subarray(sectorAt, end), bytes.subarray(at, at + DESCRIPTOR_BYTES), sequenceNumber);
      if (data === undefined) return undefined;
      updates.push({ fileOffset, length: BigInt(LOG_SECTOR), data });
      sectorAt = end;
    }
  }
  return updates;
}

/** [MS-VHDX] 2.3.1.4: the sequence number stands around the data, and its parts' bytes in the descriptor. */
function dataSector(sector: Uint8Array, descriptor: Uint8Array, sequenceNumber: bigint): Uint8Array | undefined {
  const view = new DataView(sector.buffer, sector.byteOffset, LOG_SECTOR);
  const high = BigInt(view.getUint32(4, true));
  const low = BigInt(view.getUint32(LOG_SECTOR - TRAILING_BYTES, true));
  const isOwn = (high << 32n) + low === sequenceNumber;
  if (view.getUint32(0, true) !== DATA_SECTOR_SIGNATURE || !isOwn) return undefined;
  sector.set(descriptor.subarray(8, 8 + LEADING_BYTES));
  sector.set(descriptor.subarray(4, 4 + TRAILING_BYTES), LOG_SECTOR - TRAILING_BYTES);
  return sector;
}
