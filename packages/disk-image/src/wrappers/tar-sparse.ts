import type { ByteSource } from '../bytes/byte-source.ts';
import { checkInside, readBytes } from '../bytes/byte-source.ts';
import { alignUp } from '../bytes/numbers.ts';
import { subSource } from '../bytes/sub-source.ts';
import type { ImageError } from '../errors.ts';
import { numberField, TAR_BLOCK, tarError } from './tar-header.ts';

/** A piece of a file with holes: `length` bytes at `offset` of the file lie at `hostOffset` of the archive. */
export interface StoredPiece {
  readonly offset: number;
  readonly hostOffset: number;
  readonly length: number;
}

/** A file with holes. GNU tar manual, "Storing Sparse Files". */
export interface SparseFile {
  /** Bytes of the file, holes included. */
  readonly size: number;
  readonly pieces: readonly StoredPiece[];
  /** Byte offset of the stored bytes: after the blocks that go on with the map. */
  readonly content: number;
  /** How many there are. */
  readonly stored: number;
}

const ENTRY_BYTES = 24;
const FIRST_ENTRIES_AT = 386;
const FIRST_ENTRIES = 4;
const FIRST_GOES_ON_AT = 482;
const REAL_SIZE_AT = 483;
const MORE_ENTRIES = 21;
const MORE_GOES_ON_AT = 504;
const MAX_PIECES = 2 ** 20;

/**
 * The map of the sparse member whose header `block` stands at `at`; `stored` is the size that the header gives. Throws
 * `corrupt` for a map that is not ascending or does not add up, `truncated`, `unsafe` for one that is too long.
 */
export async function readSparseMap(
  source: ByteSource,
  block: Uint8Array,
  place: { readonly at: number; readonly stored: number },
): Promise<SparseFile> {
  const size = numberField(block.subarray(REAL_SIZE_AT, REAL_SIZE_AT + 12), place.at);
  const map = [...entriesOf(block.subarray(FIRST_ENTRIES_AT), FIRST_ENTRIES, place.at)];
  let content = place.at + TAR_BLOCK;
  for (let goesOn = block[FIRST_GOES_ON_AT] !== 0; goesOn;) {
    checkInside(source.size, content, TAR_BLOCK);
    const more = await readBytes(source, content, TAR_BLOCK);
    map.push(...entriesOf(more, MORE_ENTRIES, content));
    if (map.length > MAX_PIECES) throw tooManyPieces(content);
    goesOn = more[MORE_GOES_ON_AT] !== 0;
    content += TAR_BLOCK;
  }
  checkInside(source.size, content, place.stored);
  return { size, content, stored: place.stored, pieces: placed(map, { ...place, content, size }) };
}

/**
 * The map that stands at the beginning of what the member at `at` stores: decimal numbers, a line each (how many pieces,
 * then offset and length of each), up to a whole block. Throws as `readSparseMap` does. "PAX Format, Version 1.0".
 */
export async function readPaxSparseMap(
  source: ByteSource,
  place: { readonly at: number; readonly stored: number; readonly size: number },
): Promise<SparseFile> {
  const { at, size } = place;
  const start = at + TAR_BLOCK;
  const { numbers, length } = await readMapLines(subSource(source, start, place.stored), at);
  const map: MapEntry[] = [];
  for (let i = 1; i < numbers.length; i += 2) map.push({ offset: numbers[i] ?? 0, length: numbers[i + 1] ?? 0 });
  const mapBytes = alignUp(length, TAR_BLOCK);
  const content = start + mapBytes;
  const stored = place.stored - mapBytes;
  return { size, content, stored, pieces: placed(map, { at, stored, content, size }) };
}

const MAP_READ_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/** The numbers of the map, their count first, and the bytes that they take. */
async function readMapLines(
  stored: ByteSource,
  at: number,
): Promise<{ readonly numbers: readonly number[]; readonly length: number }> {
  const numbers: number[] = [];
  let wanted = 1;
  let value = 0;
  for (let offset = 0; offset < stored.size; offset += MAP_READ_BYTES) {
    const bytes = await readBytes(stored, offset, Math.min(MAP_READ_BYTES, stored.size - offset));
    for (const [i, byte] of bytes.entries()) {
      if (byte !== NEWLINE) {
        value = value * 10 + byte - ZERO;
        if (byte < ZERO || byte > ZERO + 9 || !Number.isSafeInteger(value)) throw damagedMap(at);
        continue;
      }
      if (numbers.length === 0) wanted += 2 * value;
      if (wanted > 2 * MAX_PIECES) throw tooManyPieces(at);
      numbers.push(value);
      value = 0;
      if (numbers.length === wanted) return { numbers, length: offset + i + 1 };
    }
  }
  throw damagedMap(at);
}

function damagedMap(at: number): ImageError {
  return tarError('corrupt', 'The map of a sparse file is damaged', at);
}

function tooManyPieces(at: number): ImageError {
  return tarError('unsafe', `A sparse file has over ${MAX_PIECES} pieces`, at);
}

interface MapEntry {
  readonly offset: number;
  readonly length: number;
}

function* entriesOf(bytes: Uint8Array, count: number, at: number): Generator<MapEntry> {
  for (let i = 0; i < count; i++) {
    const entry = bytes.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES);
    if (entry[0] === 0) return;
    yield { offset: numberField(entry.subarray(0, 12), at), length: numberField(entry.subarray(12), at) };
  }
}

function placed(
  map: readonly MapEntry[],
  place: { readonly at: number; readonly stored: number; readonly content: number; readonly size: number },
): readonly StoredPiece[] {
  let end = 0;
  let hostOffset = place.content;
  const pieces = map.map(({ offset, length }) => {
    if (offset < end) throw tarError('corrupt', 'The map of a sparse file does not ascend', place.at);
    end = offset + length;
    const piece = { offset, hostOffset, length };
    hostOffset += length;
    return piece;
  });
  if (end > place.size || hostOffset - place.content !== place.stored) {
    throw tarError('corrupt', 'The map of a sparse file does not add up', place.at);
  }
  return pieces.filter(({ length }) => length > 0);
}
