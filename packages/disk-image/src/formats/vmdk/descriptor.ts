import { vmdkError } from './fault.ts';
import { MAX_EXACT_SECTOR, SECTOR_SIZE } from './sector.ts';

/** The text descriptor of a disk. Virtual Disk Format 5.0, "The Descriptor File". */
export interface Descriptor {
  readonly version: number | undefined;
  readonly encoding: string | undefined;
  readonly cid: number | undefined;
  /** `NO_PARENT` when the descriptor does not say. */
  readonly parentCid: number;
  readonly parentFileNameHint: string | undefined;
  readonly changeTrackPath: string | undefined;
  readonly createType: string | undefined;
  readonly extents: readonly ExtentLine[];
  /** The disk database: the `ddb.` lines, without that prefix. */
  readonly database: ReadonlyMap<string, string>;
}

/** One line of the extent description. */
export interface ExtentLine {
  readonly access: 'RW' | 'RDONLY' | 'NOACCESS';
  /** Guest bytes. */
  readonly length: number;
  /** `FLAT`, `SPARSE`, `ZERO`, or a type that only ESX has. */
  readonly type: string;
  /** The file, exactly as written; undefined for ZERO extents. Hostile until `extentNameFault` has judged it. */
  readonly name: string | undefined;
  /** Byte offset of the guest bytes in a flat file. */
  readonly offset: number;
}

/** `parentCID` of a disk that stands alone. */
export const NO_PARENT = 0xffffffff;
/** 1 MiB, the most that other readers take; a descriptor of 4096 extents has a quarter of it. */
export const MAX_DESCRIPTOR_SIZE: number = 2 ** 20;
/** 4096 files of 2 GiB hold 8 TiB, the largest disk of the products that split disks. */
export const MAX_EXTENTS = 4096;

const HEADER_KEYS: ReadonlySet<string> = new Set([
  'version',
  'encoding',
  'cid',
  'parentcid',
  'createtype',
  'parentfilenamehint',
  'changetrackpath',
]);

/**
 * Does the text begin as a descriptor: with the signature comment, or with comments and then `version=`?
 * The second is what other readers recognise. Looks at the first lines only.
 */
export function looksLikeDescriptor(head: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(head.subarray(0, MAX_PROBED_TEXT));
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (/^#\s*disk descriptorfile/i.test(trimmed)) return true;
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    return /^version\s*=\s*\d/i.test(trimmed);
  }
  return false;
}

const MAX_PROBED_TEXT = 65536;

/**
 * The descriptor in `bytes`, which end at the first NUL. `offset` is where they lie in the file.
 * Lines end with LF or CRLF. Throws `corrupt` for an extent line that cannot be understood, a header key that is
 * given twice with different values, and text that is not in its declared encoding.
 */
export function parseDescriptor(bytes: Uint8Array, offset: number): Descriptor {
  const end = bytes.indexOf(0);
  const text = decodeText(end < 0 ? bytes : bytes.subarray(0, end), offset);
  const header = new Map<string, string>();
  const database = new Map<string, string>();
  const extents: ExtentLine[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    if (/^(?:RW|RDONLY|NOACCESS)\s/i.test(trimmed)) extents.push(parseExtentLine(trimmed, offset));
    else keepValue(trimmed, { header, database }, offset);
    if (extents.length > MAX_EXTENTS) {
      throw vmdkError('unsafe', `The descriptor has more than ${MAX_EXTENTS} extents`, 'descriptor', offset);
    }
  }
  return {
    version: wholeNumber(header.get('version')),
    encoding: header.get('encoding'),
    cid: header.has('cid') ? contentId(header.get('cid'), 'CID', offset) : undefined,
    parentCid: header.has('parentcid') ? contentId(header.get('parentcid'), 'parentCID', offset) : NO_PARENT,
    parentFileNameHint: header.get('parentfilenamehint'),
    changeTrackPath: header.get('changetrackpath'),
    createType: header.get('createtype'),
    extents,
    database,
  };
}

/** Guest bytes of all extents together, at most 2^53 - 1. */
export function descriptorCapacity(extents: readonly ExtentLine[]): number {
  let total = 0;
  for (const extent of extents) total += extent.length;
  return Math.min(total, Number.MAX_SAFE_INTEGER);
}

/** The text in the encoding that its own `encoding=` line names, UTF-8 without one. */
function decodeText(bytes: Uint8Array, offset: number): string {
  const plain = new TextDecoder('latin1').decode(bytes);
  const label = /^[ \t]*encoding[ \t]*=[ \t]*"?([\w.:-]+)/im.exec(plain)?.[1] ?? 'utf-8';
  // Hosts with other code pages wrote the bytes as they were; plain ASCII reads the same in all of them.
  if (bytes.every((byte) => byte < 0x80)) return plain;
  try {
    return new TextDecoder(label, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw vmdkError(
      'corrupt',
      `The descriptor is not text in its encoding ${label}${cause instanceof RangeError ? ', which is not known' : ''}`,
      'descriptor',
      offset,
    );
  }
}

function keepValue(
  line: string,
  into: { readonly header: Map<string, string>; readonly database: Map<string, string> },
  offset: number,
): void {
  const equals = line.indexOf('=');
  if (equals < 0) return;
  const key = line.slice(0, equals).trim();
  const value = unquoted(line.slice(equals + 1).trim());
  if (key.toLowerCase().startsWith('ddb.')) {
    into.database.set(key.slice(4), value);
    return;
  }
  const name = key.toLowerCase();
  if (!HEADER_KEYS.has(name)) return;
  // Readers differ in which of two they believe, and that difference is what an attacker would use.
  if ((into.header.get(name) ?? value) !== value) {
    throw vmdkError('corrupt', `The descriptor gives ${key} twice, with different values`, 'descriptor', offset);
  }
  into.header.set(name, value);
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  const end = value.indexOf('"', 1);
  return end < 0 ? value.slice(1) : value.slice(1, end);
}

const EXTENT_LINE = /^(RW|RDONLY|NOACCESS)\s+(\d{1,16})\s+([A-Z0-9]+)(?:\s+"([^"]*)")?(?:\s+(\d{1,16}))?(?:\s.*)?$/i;

function parseExtentLine(line: string, offset: number): ExtentLine {
  const match = EXTENT_LINE.exec(line);
  const access = match?.[1]?.toUpperCase();
  const sectors = Number(match?.[2]);
  const start = Number(match?.[5] ?? 0);
  const known = access === 'RW' || access === 'RDONLY' || access === 'NOACCESS';
  if (match === null || !known || sectors > MAX_EXACT_SECTOR || start > MAX_EXACT_SECTOR) {
    const shown = JSON.stringify(line.slice(0, MAX_SHOWN_LINE));
    throw vmdkError('corrupt', `The descriptor has an extent line that makes no sense: ${shown}`, 'descriptor', offset);
  }
  return {
    access,
    length: sectors * SECTOR_SIZE,
    type: (match[3] ?? '').toUpperCase(),
    name: match[4],
    offset: start * SECTOR_SIZE,
  };
}

const MAX_SHOWN_LINE = 120;

function contentId(value: string | undefined, field: string, offset: number): number {
  if (value !== undefined && /^[0-9a-f]{1,8}$/i.test(value)) return Number.parseInt(value, 16);
  throw vmdkError(
    'corrupt',
    `${field} in the descriptor is not a hexadecimal number of 8 digits`,
    'descriptor',
    offset,
  );
}

/** A content id as descriptors write it: eight hexadecimal digits. */
export function contentIdText(id: number): string {
  return id.toString(16).padStart(8, '0');
}

function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}
