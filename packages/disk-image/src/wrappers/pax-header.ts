import { tarError } from './tar-header.ts';

/** What headers before a member of a tar archive say about it. */
export interface TarExtension {
  readonly name?: string;
  /** Bytes that are stored. */
  readonly size?: number;
  /** Bytes of a file with holes, whose map stands before what is stored. GNU tar manual, "PAX Format, Version 1.0". */
  readonly sparseSize?: number;
}

/**
 * The records `length key=value\n` of a pax header at `offset`. A global one may not say what belongs to one file. Throws
 * `corrupt`, and `unsupported` for files with holes in the two older ways. POSIX.1-2017, pax, "Extended Header".
 */
export function paxExtension(bytes: Uint8Array, offset: number, scope: 'global' | 'next'): TarExtension {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const { key, value, end } = readRecord(bytes, at, offset);
    if (scope === 'global' && (key === 'path' || key === 'size' || key.startsWith(SPARSE))) {
      throw tarError('corrupt', `A global pax header gives every file one ${key}`, offset);
    }
    records.set(key, value);
    at = end;
  }
  const name = records.get('path');
  const size = records.get('size');
  return {
    ...(name === undefined ? {} : { name }),
    ...(size === undefined ? {} : { size: paxSize(size, offset) }),
    ...sparseExtension(records, offset),
  };
}

const SPARSE = 'GNU.sparse.';

function sparseExtension(records: ReadonlyMap<string, string>, offset: number): TarExtension {
  if (![...records.keys()].some((key) => key.startsWith(SPARSE))) return {};
  const field = (key: string): string | undefined => records.get(`${SPARSE}${key}`);
  const size = field('realsize');
  if (field('major') !== '1' || field('minor') !== '0' || size === undefined) {
    const message = 'The archive has a sparse file of another version than 1.0; pack it with tar --format=gnu';
    throw tarError('unsupported', message, offset);
  }
  const name = field('name');
  return { sparseSize: paxSize(size, offset), ...(name === undefined ? {} : { name }) };
}

const decoder = new TextDecoder();
/** Of a length and the space behind it. */
const MAX_LENGTH_DIGITS = 8;

function readRecord(
  bytes: Uint8Array,
  at: number,
  offset: number,
): { readonly key: string; readonly value: string; readonly end: number } {
  const space = bytes.subarray(at, at + MAX_LENGTH_DIGITS).indexOf(0x20);
  const digits = decoder.decode(bytes.subarray(at, at + Math.max(0, space)));
  const end = at + (/^\d+$/.test(digits) ? Number(digits) : 0);
  if (end <= at + space + 1 || end > bytes.length || bytes[end - 1] !== 0x0a) {
    throw tarError('corrupt', 'A pax header has a damaged record', offset);
  }
  const text = decoder.decode(bytes.subarray(at + space + 1, end - 1));
  const equals = text.indexOf('=');
  return { key: equals < 0 ? '' : text.slice(0, equals), value: text.slice(equals + 1), end };
}

function paxSize(value: string, offset: number): number {
  if (/^\d{1,16}$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value);
  throw tarError('corrupt', 'A pax header has an impossible size', offset);
}
