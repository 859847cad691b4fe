import { ImageError } from '../errors.ts';
import type { SlidingWindow } from './sliding-window.ts';
import { wrapWindow } from './sliding-window.ts';

/**
 * The LZMA algorithm as the LZMA specification (Igor Pavlov, public domain, 2015) describes it, decoding one chunk after
 * another into a sliding window. Names are the specification's.
 */

const PROBABILITY_BITS = 11;
const HALF = 1 << (PROBABILITY_BITS - 1);
const MOVE_BITS = 5;
const TOP = 2 ** 24;
const STATES = 12;
const FIRST_STATE_AFTER_MATCH = 7;
const MAX_POSITION_STATES = 16;
const MIN_MATCH = 2;
const LENGTH_STATES = 4;
const SLOT_BITS = 6;
const FIRST_MODELLED_SLOT = 4;
const FIRST_DIRECT_SLOT = 14;
const ALIGN_BITS = 4;
/** Places in `LzmaState.coder`. */
const RANGE = 0;
const CODE = 1;
const END_MARKER = 0xffffffff;

/** Where each table of probabilities begins in one array. */
const LENGTH_TABLE = 2 + MAX_POSITION_STATES * 8 * 2 + 256;
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * MAX_POSITION_STATES;
const IS_REP0 = IS_REP + STATES;
const IS_REP1 = IS_REP0 + STATES;
const IS_REP2 = IS_REP1 + STATES;
const IS_REP0_LONG = IS_REP2 + STATES;
const SLOTS = IS_REP0_LONG + STATES * MAX_POSITION_STATES;
const SPECIAL = SLOTS + LENGTH_STATES * (1 << SLOT_BITS);
const ALIGN = SPECIAL + 128;
const MATCH_LENGTH = ALIGN + (1 << ALIGN_BITS);
const REP_LENGTH = MATCH_LENGTH + LENGTH_TABLE;
const LITERALS = REP_LENGTH + LENGTH_TABLE;
const LITERAL_TABLE = 0x300;
/** lc + lp is at most 4 in LZMA2. */
const MAX_LITERAL_BITS = 4;

/** lc: high bits of the previous byte, lp and pb: low bits of the position, that choose among models. */
export interface LzmaProperties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

/** What carries over from chunk to chunk. */
export interface LzmaState {
  readonly probabilities: Uint16Array;
  readonly reps: Uint32Array;
  state: number;
  properties: LzmaProperties;
  /** Bytes since the dictionary was new. */
  position: number;
  /** The range coder's range and code. Elements of an array, since numbers above 2^31 in fields are slow. */
  readonly coder: Uint32Array;
  input: Uint8Array;
  at: number;
}

/** A state that is to be reset with properties before use. */
export function lzmaState(): LzmaState {
  return {
    probabilities: new Uint16Array(LITERALS + (LITERAL_TABLE << MAX_LITERAL_BITS)),
    reps: new Uint32Array(4),
    state: 0,
    properties: { lc: 0, lp: 0, pb: 0 },
    position: 0,
    coder: new Uint32Array(2),
    input: new Uint8Array(0),
    at: 0,
  };
}

/** Forgets everything but the dictionary; takes new properties when they are given. */
export function resetLzma(lzma: LzmaState, properties: LzmaProperties = lzma.properties): void {
  lzma.properties = properties;
  lzma.probabilities.fill(HALF);
  lzma.reps.fill(0);
  lzma.state = 0;
}

/**
 * Decodes one chunk of `length` bytes from all of `bytes`, handing out pieces when the window wraps; the caller hands out
 * the rest. Throws `corrupt`.
 */
export function* decodeLzma(
  lzma: LzmaState,
  ring: SlidingWindow,
  chunk: { readonly bytes: Uint8Array; readonly length: number },
): Generator<Uint8Array> {
  startRange(lzma, chunk.bytes);
  for (let left = chunk.length; left > 0;) {
    if (ring.at === ring.bytes.length) yield* wrapWindow(ring);
    const positionState = lzma.position & ((1 << lzma.properties.pb) - 1);
    if (decodeBit(lzma, IS_MATCH + lzma.state * MAX_POSITION_STATES + positionState) === 0) {
      decodeLiteral(lzma, ring);
      left--;
      continue;
    }
    let length = matchLength(lzma, positionState);
    if (length > left) throw damaged('has a match that leaves its chunk');
    if ((lzma.reps[0] ?? 0) >= ring.valid) throw damaged('has a match that reaches back too far');
    left -= length;
    for (;;) {
      length -= copyMatch(lzma, ring, length);
      if (length === 0) break;
      yield* wrapWindow(ring);
    }
  }
  if ((lzma.coder[RANGE] ?? 0) < TOP) normalize(lzma);
  if (lzma.coder[CODE] !== 0 || lzma.at !== chunk.bytes.length) throw damaged('has a chunk that does not end cleanly');
}

function startRange(lzma: LzmaState, bytes: Uint8Array): void {
  if (bytes.length < 5 || bytes[0] !== 0) throw damaged('has a chunk that does not begin as one');
  lzma.input = bytes;
  lzma.coder[RANGE] = 0xffffffff;
  lzma.coder[CODE] = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  lzma.at = 5;
}

/** As much of the match as fits before the end of the buffer; returns how many bytes. */
function copyMatch(lzma: LzmaState, ring: SlidingWindow, length: number): number {
  const { bytes } = ring;
  const distance = (lzma.reps[0] ?? 0) + 1;
  const count = Math.min(length, bytes.length - ring.at);
  let from = ring.at - distance;
  if (from < 0) from += bytes.length;
  for (let i = 0; i < count; i++) {
    bytes[ring.at + i] = bytes[from] ?? 0;
    if (++from === bytes.length) from = 0;
  }
  ring.at += count;
  ring.valid = Math.min(ring.size, ring.valid + count);
  lzma.position += count;
  return count;
}

function byteBefore(ring: SlidingWindow, distance: number): number {
  const at = ring.at - distance;
  return ring.bytes[at < 0 ? at + ring.bytes.length : at] ?? 0;
}

function decodeLiteral(lzma: LzmaState, ring: SlidingWindow): void {
  const { lc, lp } = lzma.properties;
  const previous = ring.valid === 0 ? 0 : byteBefore(ring, 1);
  const context = ((lzma.position & ((1 << lp) - 1)) << lc) + (previous >> (8 - lc));
  const table = LITERALS + LITERAL_TABLE * context;
  let symbol = 1;
  if (lzma.state >= FIRST_STATE_AFTER_MATCH) {
    if ((lzma.reps[0] ?? 0) >= ring.valid) throw damaged('has a literal that reaches back too far');
    let match = byteBefore(ring, (lzma.reps[0] ?? 0) + 1);
    while (symbol < 0x100) {
      const matchBit = (match >> 7) & 1;
      match <<= 1;
      const bit = decodeBit(lzma, table + ((1 + matchBit) << 8) + symbol);
      symbol = (symbol << 1) | bit;
      if (bit !== matchBit) break;
    }
  }
  while (symbol < 0x100) symbol = (symbol << 1) | decodeBit(lzma, table + symbol);
  ring.bytes[ring.at++] = symbol;
  if (ring.valid < ring.size) ring.valid++;
  lzma.position++;
  lzma.state = lzma.state < 4 ? 0 : lzma.state < 10 ? lzma.state - 3 : lzma.state - 6;
}

/** The length of the match or repetition that comes next; its distance is `reps[0]` afterwards. */
function matchLength(lzma: LzmaState, positionState: number): number {
  const { reps, state } = lzma;
  const isLiteralBefore = state < FIRST_STATE_AFTER_MATCH;
  if (decodeBit(lzma, IS_REP + state) === 0) {
    reps.copyWithin(1, 0, 3);
    const length = decodeLength(lzma, MATCH_LENGTH, positionState);
    lzma.state = isLiteralBefore ? 7 : 10;
    reps[0] = decodeDistance(lzma, length);
    if (reps[0] === END_MARKER) throw damaged('has an end marker, which LZMA2 has not');
    return length + MIN_MATCH;
  }
  if (decodeBit(lzma, IS_REP0 + state) === 0) {
    if (decodeBit(lzma, IS_REP0_LONG + state * MAX_POSITION_STATES + positionState) === 0) {
      lzma.state = isLiteralBefore ? 9 : 11;
      return 1;
    }
  } else {
    const rank = decodeBit(lzma, IS_REP1 + state) === 0 ? 1 : 2 + decodeBit(lzma, IS_REP2 + state);
    const distance = reps[rank] ?? 0;
    reps.copyWithin(1, 0, rank);
    reps[0] = distance;
  }
  const length = decodeLength(lzma, REP_LENGTH, positionState);
  lzma.state = isLiteralBefore ? 8 : 11;
  return length + MIN_MATCH;
}

function decodeLength(lzma: LzmaState, table: number, positionState: number): number {
  if (decodeBit(lzma, table) === 0) return decodeTree(lzma, table + 2 + positionState * 8, 3);
  if (decodeBit(lzma, table + 1) === 0) {
    return 8 + decodeTree(lzma, table + 2 + (MAX_POSITION_STATES + positionState) * 8, 3);
  }
  return 16 + decodeTree(lzma, table + 2 + MAX_POSITION_STATES * 16, 8);
}

function decodeDistance(lzma: LzmaState, length: number): number {
  const slot = decodeTree(lzma, SLOTS + (Math.min(length, LENGTH_STATES - 1) << SLOT_BITS), SLOT_BITS);
  if (slot < FIRST_MODELLED_SLOT) return slot;
  const directBits = (slot >> 1) - 1;
  const base = ((2 | (slot & 1)) << directBits) >>> 0;
  if (slot < FIRST_DIRECT_SLOT) return base + decodeReverseTree(lzma, SPECIAL + base - slot, directBits);
  const high = decodeDirect(lzma, directBits - ALIGN_BITS);
  return base + high * (1 << ALIGN_BITS) + decodeReverseTree(lzma, ALIGN, ALIGN_BITS);
}

function decodeTree(lzma: LzmaState, table: number, bits: number): number {
  let symbol = 1;
  for (let i = 0; i < bits; i++) symbol = (symbol << 1) | decodeBit(lzma, table + symbol);
  return symbol - (1 << bits);
}

function decodeReverseTree(lzma: LzmaState, table: number, bits: number): number {
  let symbol = 1;
  let value = 0;
  for (let i = 0; i < bits; i++) {
    const bit = decodeBit(lzma, table + symbol);
    symbol = (symbol << 1) | bit;
    value |= bit << i;
  }
  return value;
}

function decodeDirect(lzma: LzmaState, bits: number): number {
  const { coder } = lzma;
  let value = 0;
  for (let i = 0; i < bits; i++) {
    if ((coder[RANGE] ?? 0) < TOP) normalize(lzma);
    const range = (coder[RANGE] ?? 0) >>> 1;
    coder[RANGE] = range;
    const code = coder[CODE] ?? 0;
    const bit = code >= range ? 1 : 0;
    if (bit === 1) coder[CODE] = code - range;
    value = value * 2 + bit;
  }
  return value;
}

function decodeBit(lzma: LzmaState, index: number): number {
  const { coder, probabilities } = lzma;
  if ((coder[RANGE] ?? 0) < TOP) normalize(lzma);
  const probability = probabilities[index] ?? 0;
  const range = coder[RANGE] ?? 0;
  const code = coder[CODE] ?? 0;
  const bound = Math.imul(range >>> PROBABILITY_BITS, probability) >>> 0;
  if (code < bound) {
    coder[RANGE] = bound;
    probabilities[index] = probability + (((1 << PROBABILITY_BITS) - probability) >> MOVE_BITS);
    return 0;
  }
  coder[RANGE] = range - bound;
  coder[CODE] = code - bound;
  probabilities[index] = probability - (probability >> MOVE_BITS);
  return 1;
}

/** Past the end of the chunk zeros come in; the check at the end of the chunk notices. */
function normalize(lzma: LzmaState): void {
  const { coder } = lzma;
  coder[RANGE] = (coder[RANGE] ?? 0) << 8;
  coder[CODE] = ((coder[CODE] ?? 0) << 8) | (lzma.input[lzma.at++] ?? 0);
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `An LZMA stream ${how}`, { structure: 'LZMA chunk' });
}
