import { ImageError } from '../errors.ts';
import type { BitInput } from './bzip2-block.ts';
import { bitPosition, expandBlock, MAX_BLOCK_BYTES, overrun, readBlock, takeBits, takeWord } from './bzip2-block.ts';
import type { InputWindow } from './input-window.ts';
import { ascii } from './numbers.ts';

const SIGNATURE = ascii('BZh');
const HEADER_BYTES = 4;
const BLOCK_UNIT = 100_000;
/** The two numbers that a block, and the end of a stream, begin with: 48 bits each. */
const BLOCK_MAGIC = [0x314159, 0x265359];
const END_MAGIC = [0x177245, 0x385090];
/** A block begins with its magic number and checksum, and ends anywhere in a byte. */
const LOOK_AHEAD = MAX_BLOCK_BYTES + 16;

interface StreamState {
  readonly level: number;
  readonly links: Uint32Array;
  /** The checksum of all blocks so far. */
  checksum: number;
}

/**
 * All streams of the input, one after another; every block and every stream is held against its checksum.
 * Throws `truncated`, `corrupt` (also for what follows the last stream), `unsupported`. "BZIP2: Format Specification".
 */
export async function* bunzip2(input: InputWindow): AsyncGenerator<Uint8Array> {
  do {
    const state = readHeader(await input.need(HEADER_BYTES, 'bzip2 header'));
    input.consume(HEADER_BYTES);
    for (let bitsLeft = 0, atEnd = false; !atEnd;) {
      const bits = bitInput(await input.peek(LOOK_AHEAD), bitsLeft);
      const step = readStep(bits, state);
      if (step === 'end') atEnd = true;
      else yield* step;
      const used = bitPosition(bits);
      bitsLeft = atEnd ? 0 : used % 8;
      input.consume(atEnd ? Math.ceil(used / 8) : Math.floor(used / 8));
    }
  } while (!input.atEnd());
}

/**
 * Decodes the whole of `input`, one stream, into `output`; returns how many bytes there are. Throws as `bunzip2` does, and
 * `corrupt` when they would be more than fit.
 */
export function bunzip2Into(input: Uint8Array, output: Uint8Array): number {
  const state = readHeader(input);
  const bits = bitInput(input.subarray(HEADER_BYTES), 0);
  let length = 0;
  for (;;) {
    const step = readStep(bits, state);
    if (step === 'end') return length;
    for (const piece of step) {
      if (length + piece.length > output.length) throw damaged('holds more than it should');
      output.set(piece, length);
      length += piece.length;
    }
  }
}

function readHeader(bytes: Uint8Array): StreamState {
  const level = (bytes[3] ?? 0) - 0x30;
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte) || level < 1 || level > 9) {
    throw damaged('does not begin with its magic number, or something else follows it');
  }
  return { level, links: new Uint32Array(level * BLOCK_UNIT), checksum: 0 };
}

function bitInput(bytes: Uint8Array, bitsUsed: number): BitInput {
  const input = { bytes, at: 0, buffer: 0, count: 0 };
  if (bitsUsed > 0) takeBits(input, bitsUsed);
  return input;
}

/** The next block, decoded as it is iterated, or the end of the stream. */
function readStep(bits: BitInput, state: StreamState): 'end' | Generator<Uint8Array> {
  const magic = [takeBits(bits, 24), takeBits(bits, 24)];
  const expected = takeWord(bits);
  checkOverrun(bits);
  if (magic.every((part, i) => part === END_MAGIC[i])) {
    if (expected !== state.checksum) throw damaged('does not match its checksum');
    return 'end';
  }
  if (!magic.every((part, i) => part === BLOCK_MAGIC[i])) throw damaged('has neither a block nor its end in place');
  const block = readChecked(bits, state);
  state.checksum = (((state.checksum << 1) | (state.checksum >>> 31)) ^ expected) >>> 0;
  return checkedPieces(expandBlock(block), expected);
}

function readChecked(bits: BitInput, state: StreamState): ReturnType<typeof readBlock> {
  try {
    return readBlock(bits, state.level, state.links.fill(0));
  } finally {
    checkOverrun(bits);
  }
}

function checkOverrun(bits: BitInput): void {
  if (overrun(bits)) throw new ImageError('truncated', 'The input ends inside a bzip2 stream');
}

function* checkedPieces(pieces: Iterable<Uint8Array>, expected: number): Generator<Uint8Array> {
  let crc = 0xffffffff;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i++) crc = (crc << 8) ^ (CRC_TABLE[(crc >>> 24) ^ (piece[i] ?? 0)] ?? 0);
    yield piece;
  }
  if (~crc >>> 0 !== expected) throw damaged('has a block that does not match its checksum');
}

/** CRC-32 with the polynomial 0x04c11db7, highest bit first. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = (value << 1) ^ (value < 0 ? 0x04c11db7 : 0);
  return value >>> 0;
});

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `A bzip2 stream ${how}`, { structure: 'bzip2 stream' });
}
