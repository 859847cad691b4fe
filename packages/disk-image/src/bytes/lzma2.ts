import { ImageError } from '../errors.ts';
import type { LzmaState } from './lzma-decoder.ts';
import { decodeLzma, lzmaState, resetLzma } from './lzma-decoder.ts';
import type { SlidingWindow } from './sliding-window.ts';
import { flushWindow, slidingWindow, windowInput } from './sliding-window.ts';
import type { InputWindow } from './input-window.ts';

/**
 * Bytes of the largest dictionary: twice what `xz -9` uses. A larger one is `unsafe`: a few bytes of input could ask for
 * gigabytes of memory.
 */
export const MAX_DICTIONARY_BYTES: number = 128 * 2 ** 20;

/** Control bytes of a chunk. The xz file format 1.1.0, "LZMA2"; the layout is that of the LZMA SDK. */
const END = 0x00;
const COPY_RESET_DICTIONARY = 0x01;
const COPY = 0x02;
const LZMA = 0x80;
const MAX_PROPERTIES = 224;
const LONGEST_CHUNK_HEADER = 6;

interface Chunks {
  readonly ring: SlidingWindow;
  readonly lzma: LzmaState;
  needsDictionaryReset: boolean;
  needsProperties: boolean;
}

/** Bytes of the dictionary that the one property byte of the filter stands for. Throws `corrupt`, `unsafe`. */
export function dictionarySize(property: number): number {
  if (property > 40) throw damaged(`asks for a dictionary of the impossible size ${property}`);
  const size = property === 40 ? 2 ** 32 - 1 : (2 | (property & 1)) * 2 ** (Math.floor(property / 2) + 11);
  if (size <= MAX_DICTIONARY_BYTES) return size;
  throw new ImageError(
    'unsafe',
    `The input asks for a dictionary of ${size} bytes; at most ${MAX_DICTIONARY_BYTES} are accepted`,
    { structure: 'LZMA2 filter' },
  );
}

/** The content of an LZMA2 stream that begins at the window's position, which ends after it. Throws `truncated`, `corrupt`. */
export async function* lzma2(input: InputWindow, dictionaryBytes: number): AsyncGenerator<Uint8Array> {
  const chunks: Chunks = {
    ring: slidingWindow(dictionaryBytes),
    lzma: lzmaState(),
    needsDictionaryReset: true,
    needsProperties: true,
  };
  for (;;) {
    const [control = 0] = await input.need(1, 'LZMA2 chunk');
    if (control === END) break;
    if (control >= LZMA) yield* lzmaChunk(input, control, chunks);
    else yield* copyChunk(input, control, chunks);
  }
  input.consume(1);
}

async function* copyChunk(input: InputWindow, control: number, chunks: Chunks): AsyncGenerator<Uint8Array> {
  if (control > COPY) throw damaged('has a chunk of an unknown kind');
  if (control === COPY_RESET_DICTIONARY) resetDictionary(chunks);
  else if (chunks.needsDictionaryReset) throw damaged('does not begin with a new dictionary');
  const header = await input.need(3, 'LZMA2 chunk');
  const length = (header[1] ?? 0) * 256 + (header[2] ?? 0) + 1;
  input.consume(3);
  const bytes = await input.need(length, 'LZMA2 chunk');
  yield* windowInput(chunks.ring, bytes);
  chunks.lzma.position += length;
  input.consume(length);
}

async function* lzmaChunk(input: InputWindow, control: number, chunks: Chunks): AsyncGenerator<Uint8Array> {
  const reset = (control >> 5) & 3;
  if (reset === 3) resetDictionary(chunks);
  else if (chunks.needsDictionaryReset) throw damaged('does not begin with a new dictionary');
  const headerBytes = reset >= 2 ? LONGEST_CHUNK_HEADER : LONGEST_CHUNK_HEADER - 1;
  const header = await input.need(headerBytes, 'LZMA2 chunk');
  const length = (control & 31) * 65_536 + (header[1] ?? 0) * 256 + (header[2] ?? 0) + 1;
  const stored = (header[3] ?? 0) * 256 + (header[4] ?? 0) + 1;
  if (reset >= 2) setProperties(chunks, header[5] ?? 0);
  else if (chunks.needsProperties) throw damaged('has a chunk before its properties are known');
  else if (reset === 1) resetLzma(chunks.lzma);
  input.consume(headerBytes);
  const bytes = await input.need(stored, 'LZMA2 chunk');
  yield* decodeLzma(chunks.lzma, chunks.ring, { bytes, length });
  input.consume(stored);
  yield* flushWindow(chunks.ring);
}

function resetDictionary(chunks: Chunks): void {
  chunks.ring.valid = 0;
  chunks.lzma.position = 0;
  chunks.needsDictionaryReset = false;
}

/** `(pb * 5 + lp) * 9 + lc`, and lc + lp at most 4. */
function setProperties(chunks: Chunks, properties: number): void {
  const lc = properties % 9;
  const lp = Math.floor(properties / 9) % 5;
  const pb = Math.floor(properties / 45);
  if (properties > MAX_PROPERTIES || lc + lp > 4) throw damaged('has impossible properties');
  resetLzma(chunks.lzma, { lc, lp, pb });
  chunks.needsProperties = false;
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `An LZMA2 stream ${how}`, { structure: 'LZMA2 chunk' });
}
