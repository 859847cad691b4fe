import { sha256 } from '@noble/hashes/sha2.js';
import { Decompress as ZstdDecoder } from 'fzstd';
import { deflate, deflateRaw, Z_FINISH, Z_STREAM_END, zlibInflate, zlibInflateInit2, ZStream } from 'pako';
import { ImageError } from '../errors.ts';
import type { Codecs, CompressionMethod } from './codecs.ts';
import { zstdFrame } from './zstd-frame.ts';

const DEFAULT_LEVEL = 6;
/** Window of 32 KiB; negative for a stream without zlib's wrapper. */
const WINDOW_BITS = 15;
/** What every decoder should support. RFC 8878, section 3.1.1.1.2. */
const MAX_ZSTD_WINDOW = 8 * 2 ** 20;

/** Codecs in plain JavaScript: they run wherever the core runs. zstd is read only. */
export const portableCodecs: Codecs = {
  decompress: (method, input, output) => (method === 'zstd' ? unzstd(input, output) : inflate(method, input, output)),
  compress(method, level, input, output) {
    const options = { level: Math.min(9, Math.max(0, level ?? DEFAULT_LEVEL)) as typeof DEFAULT_LEVEL };
    if (method === 'zstd') {
      throw new ImageError(
        'unsupported',
        'zstd compression is not available on this platform; choose zlib, or convert with the command line',
      );
    }
    const stored = method === 'deflate' ? deflateRaw(input, options) : deflate(input, options);
    if (stored.length > output.length) return 0;
    output.set(stored);
    return stored.length;
  },
  isZero(bytes) {
    const words = wordsOf(bytes);
    if (words === undefined) return bytes.every((byte) => byte === 0);
    for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
    return true;
  },
  isEqual(first, second) {
    const a = wordsOf(first);
    const b = wordsOf(second);
    if (a === undefined || b === undefined) return first.every((byte, index) => byte === second[index]);
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
    return true;
  },
  sha256: (bytes) => sha256(bytes),
};

function inflate(method: 'deflate' | 'zlib', input: Uint8Array, output: Uint8Array): number {
  const stream = new ZStream();
  stream.input = input;
  stream.avail_in = input.length;
  stream.output = output as Uint8Array<ArrayBuffer>;
  stream.avail_out = output.length;
  zlibInflateInit2(stream, method === 'zlib' ? WINDOW_BITS : -WINDOW_BITS);
  if (zlibInflate(stream, Z_FINISH) !== Z_STREAM_END) throw damaged(method);
  return stream.total_out;
}

/** Decoded block by block, so that a frame that would overflow `output` stops there and takes no memory. */
function unzstd(input: Uint8Array, output: Uint8Array): number {
  const { length, windowSize } = zstdFrame(input);
  if (windowSize > MAX_ZSTD_WINDOW) {
    throw new ImageError(
      'unsupported',
      `A zstd frame asks for a window of ${windowSize} bytes; at most ${MAX_ZSTD_WINDOW} are supported here`,
    );
  }
  let produced = 0;
  const decoder = new ZstdDecoder((block) => {
    if (produced + block.length > output.length) throw damaged('zstd');
    output.set(block, produced);
    produced += block.length;
  });
  try {
    decoder.push(input.subarray(0, length), true);
  } catch (error) {
    throw damaged('zstd', error);
  }
  return produced;
}

function damaged(method: CompressionMethod, cause?: unknown): ImageError {
  return new ImageError('corrupt', `A ${method} stream is damaged`, { cause });
}

function wordsOf(bytes: Uint8Array): Int32Array | undefined {
  if (bytes.byteOffset % 4 !== 0 || bytes.length % 4 !== 0) return undefined;
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
