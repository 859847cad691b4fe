import { ascii, fieldReader } from '../../bytes/numbers.ts';
import { dmgError } from './dmg-error.ts';
import { beginsWith, SECTOR } from './trailer.ts';

const SIGNATURE = ascii('mish');
const HEADER_BYTES = 204;
const ENTRY_BYTES = 40;
const ENTRY_COUNT_AT = 200;
/** In all tables together: terabytes in blocks of 256 KiB. */
const MAX_CHUNKS = 2 ** 21;
/** A chunk that must be decoded as a whole, before and after. Apple writes at most 1 MiB. */
export const MAX_CHUNK_BYTES: number = 16 * 2 ** 20;
const MAX_DISK_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR);

/** Types of an entry. The keramics documentation, "Universal Disk Image Format (UDIF)", "Block table entry". */
export const CHUNK: {
  readonly zero: number;
  readonly raw: number;
  readonly ignored: number;
  readonly comment: number;
  readonly zlib: number;
  readonly bzip2: number;
  readonly lzma: number;
  readonly terminator: number;
} = {
  zero: 0,
  raw: 1,
  ignored: 2,
  comment: 0x7ffffffe,
  zlib: 0x80000005,
  bzip2: 0x80000006,
  lzma: 0x80000008,
  terminator: 0xffffffff,
};
const UNREAD_TYPES: Readonly<Record<number, string>> = {
  0x80000004: 'ADC (Apple Data Compression)',
  0x80000007: 'LZFSE',
};
const ENCODED: ReadonlySet<number> = new Set([CHUNK.zlib, CHUNK.bzip2, CHUNK.lzma]);

/** Guest bytes that are stored together. Offsets and lengths in bytes. */
export interface Chunk {
  readonly type: number;
  readonly guestOffset: number;
  readonly guestLength: number;
  readonly hostOffset: number;
  readonly hostLength: number;
}

/** True for chunks that are decoded as a whole. */
export function isEncoded(chunk: Chunk): boolean {
  return ENCODED.has(chunk.type);
}

/**
 * The chunks of all tables in guest order: they cover the disk of `diskSize` bytes without gap or overlap.
 * `dataOffset` is where the data fork begins. Throws `corrupt`, `unsupported` for a compression that is not read, `unsafe`
 * for too many or too large chunks.
 */
export function chunksOf(
  tables: readonly Uint8Array[],
  place: { readonly dataOffset: number; readonly diskSize: number },
): readonly Chunk[] {
  const chunks: Chunk[] = [];
  for (const table of tables) for (const chunk of chunksOfTable(table, place.dataOffset)) addChunk(chunks, chunk);
  chunks.sort((a, b) => a.guestOffset - b.guestOffset);
  let position = 0;
  for (const chunk of chunks) {
    if (chunk.guestOffset !== position) {
      const what = chunk.guestOffset < position ? 'are described twice' : 'are not described';
      throw tableError(`The bytes of the disk around ${Math.min(position, chunk.guestOffset)} ${what}`);
    }
    position += chunk.guestLength;
  }
  if (position === place.diskSize) return chunks;
  throw tableError(`The block tables describe ${position} bytes of a disk of ${place.diskSize}`);
}

function addChunk(chunks: Chunk[], chunk: Chunk): void {
  if (chunks.length >= MAX_CHUNKS) throw dmgError('unsafe', `The image has over ${MAX_CHUNKS} chunks`, 'block table');
  chunks.push(chunk);
}

function* chunksOfTable(table: Uint8Array, dataOffset: number): Generator<Chunk> {
  if (table.length < HEADER_BYTES || !beginsWith(table, SIGNATURE)) {
    throw tableError('A block table does not begin with its signature');
  }
  const fields = fieldReader(table, 'big', { format: 'dmg', structure: 'block table' });
  const count = fields.u32(ENTRY_COUNT_AT);
  if (HEADER_BYTES + count * ENTRY_BYTES > table.length) throw tableError('A block table ends before its entries');
  const firstSector = fields.u64(8, 'first sector');
  const start = dataOffset + fields.u64(24, 'data offset');
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    const type = fields.u32(at);
    if (type === CHUNK.terminator) break;
    if (type === CHUNK.comment) continue;
    const sectors = fields.u64(at + 16, 'sector count');
    const sector = firstSector + fields.u64(at + 8, 'sector');
    if (sector + sectors > MAX_DISK_SECTORS) throw tableError('A chunk lies beyond any possible disk');
    const hostOffset = start + fields.u64(at + 24, 'chunk offset');
    const hostLength = fields.u64(at + 32, 'chunk length');
    const chunk = { type, guestOffset: sector * SECTOR, guestLength: sectors * SECTOR, hostOffset, hostLength };
    if (sectors > 0) yield checkedChunk(chunk);
  }
}

function checkedChunk(chunk: Chunk): Chunk {
  const { type, guestLength, hostLength } = chunk;
  if (type === CHUNK.zero || type === CHUNK.ignored) return chunk;
  if (type === CHUNK.raw) {
    if (hostLength === guestLength) return chunk;
    throw tableError(`A chunk of ${guestLength} bytes is stored as it is in ${hostLength}`);
  }
  if (!isEncoded(chunk)) {
    const name = UNREAD_TYPES[type] ?? `of the unknown type 0x${type.toString(16)}`;
    throw dmgError('unsupported', `The image is compressed by a method that is not read: ${name}`, 'block table');
  }
  if (guestLength <= MAX_CHUNK_BYTES && hostLength <= MAX_CHUNK_BYTES) return chunk;
  const message = `A compressed chunk has ${Math.max(guestLength, hostLength)} bytes; at most ${MAX_CHUNK_BYTES} are accepted`;
  throw dmgError('unsafe', message, 'block table');
}

function tableError(message: string): Error {
  return dmgError('corrupt', message, 'block table');
}
