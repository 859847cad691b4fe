import { ImageError } from '../errors.ts';

/** The largest block: 900,000 bytes before its runs are expanded. */
const BLOCK_UNIT = 100_000;
const MAX_LEVEL = 9;
const MAX_CODE_LENGTH = 20;
const GROUP_SYMBOLS = 50;
const MAX_TABLES = 6;
const QUICK_BITS = 10;
const PIECE_BYTES = 64 * 1024;
/**
 * No block is longer: each of its symbols takes at most 20 bits, and the selectors and code tables before them at most
 * 64 KiB.
 */
export const MAX_BLOCK_BYTES: number = Math.ceil(((MAX_LEVEL * BLOCK_UNIT + 1) * MAX_CODE_LENGTH) / 8) + 64 * 1024;

/** Bits of a buffer, highest first. Past its end come zeros: `overrun` tells. */
export interface BitInput {
  readonly bytes: Uint8Array;
  /** The next byte to take. */
  at: number;
  /** The last bits taken from bytes and not yet used are the lowest `count` ones. */
  buffer: number;
  count: number;
}

/** The next `width` bits, 1 to 24. */
export function takeBits(input: BitInput, width: number): number {
  fillBits(input, width);
  input.count -= width;
  return (input.buffer >>> input.count) & ((1 << width) - 1);
}

/** The next 32 bits as an unsigned number. */
export function takeWord(input: BitInput): number {
  return ((takeBits(input, 16) << 16) | takeBits(input, 16)) >>> 0;
}

/** Bits used so far. */
export function bitPosition(input: BitInput): number {
  return input.at * 8 - input.count;
}

/** True when more bits were used than there are. */
export function overrun(input: BitInput): boolean {
  return bitPosition(input) > input.bytes.length * 8;
}

function fillBits(input: BitInput, width: number): void {
  while (input.count < width) {
    input.buffer = (input.buffer << 8) | (input.bytes[input.at++] ?? 0);
    input.count += 8;
  }
}

/** A block with its transform undone but its runs still packed. */
export interface PackedBlock {
  readonly length: number;
  /** Byte in the low 8 bits, index of the next in the others. */
  readonly links: Uint32Array;
  readonly first: number;
}

/**
 * Decodes one block from after its magic number and checksum. `links` (one element a byte of the largest block) is filled.
 * Throws `corrupt`, `unsupported` for the randomised blocks of bzip2 0.9.
 */
export function readBlock(input: BitInput, level: number, links: Uint32Array): PackedBlock {
  if (takeBits(input, 1) === 1) {
    throw new ImageError('unsupported', 'A bzip2 block is randomised, as bzip2 0.9 did; compress it again');
  }
  const origin = takeBits(input, 24);
  const alphabet = readAlphabet(input);
  const tableCount = takeBits(input, 3);
  if (tableCount < 2 || tableCount > MAX_TABLES) throw damaged('has an impossible number of code tables');
  const selectors = readSelectors(input, tableCount);
  const codes = Array.from({ length: tableCount }, () => readCode(input, alphabet.length + 2));
  const counts = new Uint32Array(256);
  const length = readSymbols(input, { selectors, codes, alphabet, counts }, links.subarray(0, level * BLOCK_UNIT));
  if (origin >= length) throw damaged('points outside itself');
  linkBytes(links, counts, length);
  return { length, links, first: (links[origin] ?? 0) >>> 8 };
}

/** Undoes the Burrows-Wheeler transform: the upper bits of each element become the index of the byte that follows. */
function linkBytes(links: Uint32Array, counts: Uint32Array, length: number): void {
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte] ?? 0;
    counts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const byte = (links[i] ?? 0) & 0xff;
    const place = counts[byte] ?? 0;
    counts[byte] = place + 1;
    links[place] = (links[place] ?? 0) | (i << 8);
  }
}

/** The bytes that occur in the block, ascending: 16 bits say which ranges of 16 follow. */
function readAlphabet(input: BitInput): Uint8Array {
  const ranges = takeBits(input, 16);
  const used: number[] = [];
  for (let range = 0; range < 16; range++) {
    if (((ranges >> (15 - range)) & 1) === 0) continue;
    const members = takeBits(input, 16);
    for (let i = 0; i < 16; i++) if (((members >> (15 - i)) & 1) === 1) used.push(range * 16 + i);
  }
  if (used.length === 0) throw damaged('uses no byte at all');
  return Uint8Array.from(used);
}

/** Which code table each group of 50 symbols uses: unary numbers, moved to front. */
function readSelectors(input: BitInput, tableCount: number): Uint8Array {
  const count = takeBits(input, 15);
  if (count === 0) throw damaged('has no selectors');
  const order = Array.from({ length: tableCount }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let rank = 0;
    while (takeBits(input, 1) === 1) if (++rank >= tableCount) throw damaged('selects a code table that is not there');
    const [table = 0] = order.splice(rank, 1);
    order.unshift(table);
    selectors[i] = table;
  }
  return selectors;
}

/** A canonical Huffman code. */
interface Code {
  /** `symbol << 5 | length` by the next ten bits; 0 where the code is longer. */
  readonly quick: Uint16Array;
  /** For each length: the code after its last, and what to add to a code to get its place in `symbols`. */
  readonly limits: Int32Array;
  readonly shifts: Int32Array;
  readonly symbols: Uint16Array;
}

/** Lengths as differences: 1 and a bit for up or down, 0 for the next symbol. */
function readCode(input: BitInput, symbolCount: number): Code {
  const lengths = new Uint8Array(symbolCount);
  let length = takeBits(input, 5);
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    for (;;) {
      if (length < 1 || length > MAX_CODE_LENGTH) throw damaged('has a code of an impossible length');
      if (takeBits(input, 1) === 0) break;
      length += takeBits(input, 1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  return makeCode(lengths);
}

function makeCode(lengths: Uint8Array): Code {
  const code: Code = {
    quick: new Uint16Array(1 << QUICK_BITS),
    limits: new Int32Array(MAX_CODE_LENGTH + 1),
    shifts: new Int32Array(MAX_CODE_LENGTH + 1),
    symbols: new Uint16Array(lengths.length),
  };
  let next = 0;
  let place = 0;
  for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
    next *= 2;
    code.shifts[length] = place - next;
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue;
      code.symbols[place++] = symbol;
      if (length <= QUICK_BITS) {
        const start = next << (QUICK_BITS - length);
        code.quick.fill((symbol << 5) | length, start, start + (1 << (QUICK_BITS - length)));
      }
      next++;
    }
    if (next > 1 << length) throw damaged('has more codes than there can be');
    code.limits[length] = next;
  }
  return code;
}

function takeSymbol(input: BitInput, code: Code): number {
  fillBits(input, MAX_CODE_LENGTH);
  const quick = code.quick[(input.buffer >>> (input.count - QUICK_BITS)) & ((1 << QUICK_BITS) - 1)] ?? 0;
  if (quick !== 0) {
    input.count -= quick & 31;
    return quick >> 5;
  }
  for (let length = QUICK_BITS + 1; length <= MAX_CODE_LENGTH; length++) {
    const bits = (input.buffer >>> (input.count - length)) & ((1 << length) - 1);
    if (bits >= (code.limits[length] ?? 0)) continue;
    input.count -= length;
    return code.symbols[bits + (code.shifts[length] ?? 0)] ?? 0;
  }
  throw damaged('has a code that stands for nothing');
}

interface SymbolTables {
  readonly selectors: Uint8Array;
  readonly codes: readonly Code[];
  readonly alphabet: Uint8Array;
  /** How often each byte occurs, counted here. */
  readonly counts: Uint32Array;
}

/** The block's bytes before the transform is undone, one in each element of `into`; returns how many. */
function readSymbols(input: BitInput, tables: SymbolTables, into: Uint32Array): number {
  const front = tables.alphabet.slice();
  const endOfBlock = front.length + 1;
  let length = 0;
  let run = 0;
  let runWeight = 1;
  const put = (byte: number, count: number): void => {
    if (length + count > into.length) throw damaged('is longer than its level allows');
    into.fill(byte, length, length + count);
    tables.counts[byte] = (tables.counts[byte] ?? 0) + count;
    length += count;
  };
  for (const selector of tables.selectors) {
    const code = tables.codes[selector];
    if (code === undefined || overrun(input)) break;
    for (let i = 0; i < GROUP_SYMBOLS; i++) {
      const symbol = takeSymbol(input, code);
      if (symbol <= 1) {
        run += runWeight << symbol;
        runWeight *= 2;
        if (run > into.length) throw damaged('has a run longer than itself');
        continue;
      }
      if (run > 0) put(front[0] ?? 0, run);
      run = 0;
      runWeight = 1;
      if (symbol === endOfBlock) return length;
      const byte = front[symbol - 1] ?? 0;
      front.copyWithin(1, 0, symbol - 1);
      front[0] = byte;
      put(byte, 1);
    }
  }
  throw damaged('does not end where its selectors do');
}

/** The bytes of the block with runs expanded (four equal bytes are followed by a count), in pieces that are reused. */
export function* expandBlock(block: PackedBlock): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES + 256);
  let filled = 0;
  let link = block.first;
  let previous = -1;
  let repeats = 0;
  for (let i = 0; i < block.length; i++) {
    const element = block.links[link] ?? 0;
    const byte = element & 0xff;
    link = element >>> 8;
    if (repeats === 4) {
      piece.fill(previous, filled, filled + byte);
      filled += byte;
      repeats = 0;
      previous = -1;
    } else {
      repeats = byte === previous ? repeats + 1 : 1;
      previous = byte;
      piece[filled++] = byte;
    }
    if (filled < PIECE_BYTES) continue;
    yield piece.subarray(0, filled);
    filled = 0;
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `A bzip2 block ${how}`, { structure: 'bzip2 block' });
}
