import type { ByteSource } from '../bytes/byte-source.ts';
import { checkInside, readBytes } from '../bytes/byte-source.ts';
import type { FieldReader } from '../bytes/numbers.ts';
import { fieldReader } from '../bytes/numbers.ts';
import { ImageError } from '../errors.ts';
import type { Member } from './member-name.ts';
import { checkUnique, safeName } from './member-name.ts';

/** PKWARE's APPNOTE 6.3.10: 4.3.16, 4.3.15, 4.3.14, 4.3.12. */
const END_SIGNATURE = 0x06054b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const END64_SIGNATURE = 0x06064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const END_BYTES = 22;
const LOCATOR64_BYTES = 20;
const END64_BYTES = 56;
const ENTRY_BYTES = 46;
const MAX_COMMENT_BYTES = 65_535;
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20;
const IN_EXTRA_32 = 0xffffffff;
const IN_EXTRA_16 = 0xffff;
const EXTRA_ZIP64 = 1;
/** General purpose flags. */
const FLAG_ENCRYPTED = 1;
const FLAG_PATCH = 0x20;
const FLAG_STRONG_ENCRYPTION = 0x40;
const FLAG_MASKED = 0x2000;
/** "version made by" of Unix, whose file mode stands in the upper half of the external attributes. */
const HOST_UNIX = 3;
const MODE_TYPE = 0o170_000;
const MODE_REGULAR = 0o100_000;
const MODE_DIRECTORY = 0o040_000;

/** A file of the archive as the central directory has it. */
export interface ZipMember extends Member {
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  /** Byte offset of its local header. */
  readonly headerOffset: number;
  /** As it stands in the archive, for comparison with the local header. */
  readonly rawName: Uint8Array;
}

/** A zip archive's files, and the byte offset where they must all have ended. */
export interface ZipDirectory {
  readonly members: readonly ZipMember[];
  readonly offset: number;
}

interface End {
  readonly count: number;
  readonly size: number;
  readonly offset: number;
  /** Byte offset of the first end record. */
  readonly at: number;
}

/**
 * The central directory. Throws `corrupt` (also for what follows the archive or stands between its parts), `truncated`,
 * `unsupported` (encryption, several volumes), `unsafe` (links, names that leave the archive, too many files).
 */
export async function readZipDirectory(source: ByteSource): Promise<ZipDirectory> {
  const end = await readEnd(source);
  if (end.size > MAX_DIRECTORY_BYTES) throw zipError('unsafe', `A directory of ${end.size} bytes is too long`, end.at);
  if (end.offset + end.size !== end.at) throw zipError('corrupt', 'The directory is not where the end says', end.at);
  const bytes = await readBytes(source, end.offset, end.size);
  const members: ZipMember[] = [];
  let at = 0;
  for (let i = 0; i < end.count; i++) {
    const { member, length } = readEntry(bytes.subarray(at), end.offset + at);
    if (member !== undefined) members.push(member);
    at += length;
  }
  if (at !== bytes.length) throw zipError('corrupt', 'The directory has another length than its entries', end.offset);
  checkUnique(members);
  return { members, offset: end.offset };
}

/** An error about the archive; `offset` in bytes in it. */
export function zipError(
  code: 'corrupt' | 'truncated' | 'unsafe' | 'unsupported',
  message: string,
  offset: number,
): ImageError {
  return new ImageError(code, message, { structure: 'zip archive', offset });
}

async function readEnd(source: ByteSource): Promise<End> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT_BYTES);
  const start = source.size - length;
  const bytes = await readBytes(source, start, length);
  for (let at = length - END_BYTES; at >= 0; at--) {
    const fields = reader(bytes.subarray(at), start + at);
    if (fields.u32(0) !== END_SIGNATURE || at + END_BYTES + fields.u16(20) !== length) continue;
    return readEnd64(source, fields, start + at);
  }
  throw zipError('truncated', 'The archive has no end: it was cut off, or something follows it', source.size);
}

async function readEnd64(source: ByteSource, end: FieldReader, at: number): Promise<End> {
  const plain = { count: end.u16(10), size: end.u32(12), offset: end.u32(16), at };
  if (end.u16(4) !== end.u16(6) || end.u16(8) !== plain.count) throw severalVolumes(at);
  const needs64 = plain.count === IN_EXTRA_16 || plain.size === IN_EXTRA_32 || plain.offset === IN_EXTRA_32;
  const locatorAt = at - LOCATOR64_BYTES;
  if (!needs64 || locatorAt < END64_BYTES) return plain;
  const locator = reader(await readBytes(source, locatorAt, LOCATOR64_BYTES), locatorAt);
  if (locator.u32(0) !== LOCATOR64_SIGNATURE) return plain;
  const end64At = locatorAt - END64_BYTES;
  const end64 = reader(await readBytes(source, end64At, END64_BYTES), end64At);
  if (end64.u32(0) !== END64_SIGNATURE || locator.u64(8, 'end offset') !== end64At) {
    throw zipError('corrupt', 'The end of the archive is not where its locator says', locatorAt);
  }
  if (locator.u32(16) !== 1 || end64.u32(16) !== end64.u32(20)) throw severalVolumes(end64At);
  return {
    count: end64.u64(32, 'entry count'),
    size: end64.u64(40, 'directory size'),
    offset: end64.u64(48, 'directory offset'),
    at: end64At,
  };
}

function readEntry(
  bytes: Uint8Array,
  offset: number,
): { readonly member: ZipMember | undefined; readonly length: number } {
  if (bytes.length < ENTRY_BYTES) throw zipError('corrupt', 'The directory ends inside an entry', offset);
  const fields = reader(bytes, offset);
  const nameLength = fields.u16(28);
  const extraLength = fields.u16(30);
  const length = ENTRY_BYTES + nameLength + extraLength + fields.u16(32);
  if (fields.u32(0) !== ENTRY_SIGNATURE || length > bytes.length) {
    throw zipError('corrupt', 'The directory has a damaged entry', offset);
  }
  const rawName = bytes.subarray(ENTRY_BYTES, ENTRY_BYTES + nameLength);
  const name = new TextDecoder().decode(rawName);
  const isDirectory = name.endsWith('/');
  checkKind(fields, { name, isDirectory, offset });
  const plainName = safeName(isDirectory ? name.slice(0, -1) : name);
  if (isDirectory) return { member: undefined, length };
  const extra = bytes.subarray(ENTRY_BYTES + nameLength, ENTRY_BYTES + nameLength + extraLength);
  const sizes = entrySizes(fields, extra, offset);
  return { member: { name: plainName, method: fields.u16(10), crc: fields.u32(16), rawName, ...sizes }, length };
}

function checkKind(
  fields: FieldReader,
  entry: { readonly name: string; readonly isDirectory: boolean; readonly offset: number },
): void {
  const flags = fields.u16(8);
  if ((flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED)) !== 0) {
    throw zipError('unsupported', `The archive is encrypted (${JSON.stringify(entry.name)})`, entry.offset);
  }
  if ((flags & FLAG_PATCH) !== 0) throw zipError('unsupported', 'The archive holds patches, not files', entry.offset);
  const type = fields.u16(4) >> 8 === HOST_UNIX ? (fields.u32(38) >>> 16) & MODE_TYPE : 0;
  const expected = entry.isDirectory ? MODE_DIRECTORY : MODE_REGULAR;
  if (type === 0 || type === expected) return;
  throw zipError('unsafe', `The archive's member ${JSON.stringify(entry.name)} is not a regular file`, entry.offset);
}

/** Sizes and offset, each from the Zip64 extra field where the entry has only ones. APPNOTE 4.5.3. */
function entrySizes(
  fields: FieldReader,
  extra: Uint8Array,
  offset: number,
): Pick<ZipMember, 'size' | 'packedSize' | 'headerOffset'> {
  const wide = zip64Extra(extra, offset);
  let at = 0;
  const value = (short: number, field: string): number => {
    if (short !== IN_EXTRA_32 || wide === undefined) return short;
    at += 8;
    if (at > wide.length) throw zipError('corrupt', 'A Zip64 field is too short', offset);
    return reader(wide, offset).u64(at - 8, field);
  };
  const size = value(fields.u32(24), 'size');
  const packedSize = value(fields.u32(20), 'packed size');
  return { size, packedSize, headerOffset: value(fields.u32(42), 'header offset') };
}

function zip64Extra(extra: Uint8Array, offset: number): Uint8Array | undefined {
  const fields = reader(extra, offset);
  for (let at = 0; at + 4 <= extra.length;) {
    const length = fields.u16(at + 2);
    if (at + 4 + length > extra.length) throw zipError('corrupt', 'An entry has a damaged extra field', offset);
    if (fields.u16(at) === EXTRA_ZIP64) return extra.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return undefined;
}

function reader(bytes: Uint8Array, offset: number): FieldReader {
  return fieldReader(bytes, 'little', { format: 'zip', structure: 'zip archive', offset });
}

function severalVolumes(offset: number): ImageError {
  return zipError('unsupported', 'The archive is one of several volumes', offset);
}

const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;

/**
 * Where the packed bytes of the member begin: after its local header, which must agree with the directory. Throws
 * `corrupt`, `truncated`. APPNOTE 4.3.7.
 */
export async function packedOffset(source: ByteSource, directory: ZipDirectory, member: ZipMember): Promise<number> {
  const { headerOffset, rawName } = member;
  checkInside(directory.offset, headerOffset, LOCAL_BYTES + rawName.length);
  const bytes = await readBytes(source, headerOffset, LOCAL_BYTES + rawName.length);
  const fields = reader(bytes, headerOffset);
  const agrees =
    fields.u32(0) === LOCAL_SIGNATURE &&
    fields.u16(8) === member.method &&
    fields.u16(26) === rawName.length &&
    rawName.every((byte, i) => bytes[LOCAL_BYTES + i] === byte);
  if (!agrees) throw zipError('corrupt', 'A file is not what the directory says', headerOffset);
  const start = headerOffset + LOCAL_BYTES + rawName.length + fields.u16(28);
  checkInside(directory.offset, start, member.packedSize);
  return start;
}
