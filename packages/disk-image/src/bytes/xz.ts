import { sha256 } from '@noble/hashes/sha2.js';
import { ImageError } from '../errors.ts';
import { memorySource } from './byte-source.ts';
import { crc32, crc32Continued } from './crc32.ts';
import { crc64 } from './crc64.ts';
import type { InputWindow } from './input-window.ts';
import { inputWindow } from './input-window.ts';
import { dictionarySize, lzma2 } from './lzma2.ts';
import type { Numbers } from './xz-index.ts';
import { readIndex, recordsOf } from './xz-index.ts';
import { multibyteNumber } from './xz-index.ts';

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FOOTER_MAGIC = [0x59, 0x5a];
const HEADER_BYTES = 12;
const FILTER_LZMA2 = 0x21;
const FILTER_NAMES: Readonly<Record<number, string>> = {
  3: 'delta',
  4: 'x86',
  5: 'PowerPC',
  6: 'IA-64',
  7: 'ARM',
  8: 'ARM Thumb',
  9: 'SPARC',
  10: 'ARM64',
  11: 'RISC-V',
};

/** The check that follows each block, by its number in the stream flags. The xz file format 1.1.0, section 2.1.1.2. */
interface BlockCheck {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}
const CHECKS: Readonly<Record<number, () => BlockCheck>> = {
  0: () => ({ update: () => {}, digest: () => new Uint8Array(0) }),
  1: crc32Check,
  4: crc64,
  10: () => sha256.create(),
};

/**
 * All streams of the input, one after another, each block held against its check and each index against its blocks.
 * Throws `truncated`, `corrupt` (also for what follows the last stream), `unsupported` (a filter or a check that is not
 * known), `unsafe` (a dictionary larger than any preset asks for). The xz file format 1.1.0.
 */
export async function* unxz(input: InputWindow): AsyncGenerator<Uint8Array> {
  do {
    const flags = readStreamHeader(await input.need(HEADER_BYTES, 'xz stream header'));
    input.consume(HEADER_BYTES);
    const blocks = recordsOf();
    for (;;) {
      const [size = 0] = await input.need(1, 'xz block header');
      if (size === 0) break;
      yield* readBlock(input, (size + 1) * 4, { flags, blocks });
    }
    const indexBytes = await readIndex(input, blocks);
    checkFooter(await input.need(HEADER_BYTES, 'xz stream footer'), flags, indexBytes);
    input.consume(HEADER_BYTES);
    await skipPadding(input);
  } while (!input.atEnd());
}

/** Decodes the whole of `input` into `output`; returns how many bytes there are. Throws as `unxz`, and `corrupt` for more than fit. */
export async function unxzInto(input: Uint8Array, output: Uint8Array): Promise<number> {
  let length = 0;
  for await (const piece of unxz(inputWindow(memorySource(input)))) {
    if (length + piece.length > output.length) throw damaged('holds more than it should');
    output.set(piece, length);
    length += piece.length;
  }
  return length;
}

/** The number of the check. */
function readStreamHeader(bytes: Uint8Array): number {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw damaged('does not begin with its magic number, or something else follows it');
  }
  if (crc32(bytes.subarray(6, 8)) !== uint32(bytes, 8)) throw damaged('has a header that does not match its checksum');
  const check = bytes[7] ?? 0;
  if (bytes[6] === 0 && CHECKS[check] !== undefined) return check;
  throw new ImageError('unsupported', `An xz stream uses the check ${check}, which is not known`);
}

async function* readBlock(
  input: InputWindow,
  headerBytes: number,
  stream: { readonly flags: number; readonly blocks: Numbers },
): AsyncGenerator<Uint8Array> {
  const start = input.position;
  const header = readBlockHeader(await input.need(headerBytes, 'xz block header'));
  input.consume(headerBytes);
  const check = CHECKS[stream.flags]?.() ?? crc32Check();
  let length = 0;
  const dataStart = input.position;
  for await (const piece of lzma2(input, header.dictionaryBytes)) {
    check.update(piece);
    length += piece.length;
    yield piece;
  }
  const packed = input.position - dataStart;
  if ((header.packed ?? packed) !== packed || (header.length ?? length) !== length) {
    throw damaged('has a block of another size than its header says');
  }
  const padding = (4 - (packed % 4)) % 4;
  const expected = check.digest();
  const end = await input.need(padding + expected.length, 'xz block');
  if (end.subarray(0, padding).some((byte) => byte !== 0)) throw damaged('has a block with bytes after its end');
  if (!expected.every((byte, i) => end[padding + i] === byte)) {
    throw damaged('has a block that does not match its checksum');
  }
  input.consume(padding + expected.length);
  stream.blocks.add(input.position - start - padding, length);
}

interface BlockHeader {
  readonly packed?: number;
  readonly length?: number;
  readonly dictionaryBytes: number;
}

/** Section 3.1: size, flags, sizes when they are there, filters, padding, CRC-32. */
function readBlockHeader(bytes: Uint8Array): BlockHeader {
  const end = bytes.length - 4;
  if (crc32(bytes.subarray(0, end)) !== uint32(bytes, end)) {
    throw damaged('has a block header that does not match its checksum');
  }
  const flags = bytes[1] ?? 0;
  if ((flags & 0x3c) !== 0) throw damaged('has a block header with reserved flags');
  const reader = { bytes: bytes.subarray(0, end), at: 2 };
  const packed = (flags & 0x40) === 0 ? undefined : multibyteNumber(reader);
  const length = (flags & 0x80) === 0 ? undefined : multibyteNumber(reader);
  for (let filter = 0; filter < (flags & 3) + 1; filter++) {
    const id = multibyteNumber(reader);
    if (id !== FILTER_LZMA2) {
      throw new ImageError(
        'unsupported',
        `An xz stream uses the ${FILTER_NAMES[id] ?? `unknown (${id})`} filter; only LZMA2 is read`,
      );
    }
    if (multibyteNumber(reader) !== 1) throw damaged('has a filter with properties of an impossible size');
  }
  const dictionaryBytes = dictionarySize(reader.bytes[reader.at] ?? 0);
  if (reader.bytes.subarray(reader.at + 1).some((byte) => byte !== 0)) throw damaged('has a block header with a tail');
  return {
    dictionaryBytes,
    ...(packed === undefined ? {} : { packed }),
    ...(length === undefined ? {} : { length }),
  };
}

function checkFooter(bytes: Uint8Array, flags: number, indexBytes: number): void {
  const isWhole =
    FOOTER_MAGIC.every((byte, i) => bytes[10 + i] === byte) && crc32(bytes.subarray(4, 10)) === uint32(bytes, 0);
  const agrees = bytes[8] === 0 && bytes[9] === flags && (uint32(bytes, 4) + 1) * 4 === indexBytes;
  if (!isWhole || !agrees) throw damaged('has a footer that does not fit');
}

/** Zeros in groups of four may follow a stream. */
async function skipPadding(input: InputWindow): Promise<void> {
  while (!input.atEnd()) {
    const bytes = await input.peek(4);
    if (bytes[0] !== 0) return;
    if (bytes.length < 4 || bytes.subarray(0, 4).some((byte) => byte !== 0)) throw damaged('has something behind it');
    input.consume(4);
  }
}

function crc32Check(): BlockCheck {
  let crc = 0;
  return {
    update(bytes) {
      crc = crc32Continued(crc, bytes);
    },
    digest: () => Uint8Array.from([crc, crc >>> 8, crc >>> 16, crc >>> 24]),
  };
}

function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `An xz stream ${how}`, { structure: 'xz stream' });
}
