import { sha256 } from '@noble/hashes/sha2.js';
import { deflateSync, inflateSync, unzlibSync, zlibSync } from 'fflate';
import { decompress as zstdDecompress } from 'fzstd';
import { ImageError } from '../errors.ts';
import type { Codecs, CompressionMethod } from './codecs.ts';
import { zstdFrameLength } from './zstd-frame.ts';

type Level = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
const DEFAULT_LEVEL = 6;

/** Codecs in plain JavaScript: they run wherever the core runs. zstd is read only. */
export const portableCodecs: Codecs = {
  decompress(method, input, output) {
    const produced = decompressed(method, input, output);
    if (produced.length > output.length) throw damaged(method);
    if (produced.buffer !== output.buffer) output.set(produced);
    return produced.length;
  },
  compress(method, level, input, output) {
    const options = { level: Math.min(9, Math.max(0, level ?? DEFAULT_LEVEL)) as Level };
    if (method === 'zstd') {
      throw new ImageError(
        'unsupported',
        'zstd compression is not available on this platform; choose zlib, or convert with the command line',
      );
    }
    const stored = method === 'deflate' ? deflateSync(input, options) : zlibSync(input, options);
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
  sha256: (bytes) => sha256(bytes),
};

function decompressed(method: CompressionMethod, input: Uint8Array, output: Uint8Array): Uint8Array {
  try {
    if (method === 'zstd') return zstdDecompress(input.subarray(0, zstdFrameLength(input)), output);
    return method === 'deflate' ? inflateSync(input, { out: output }) : unzlibSync(input, { out: output });
  } catch (error) {
    throw damaged(method, error);
  }
}

function damaged(method: CompressionMethod, cause?: unknown): ImageError {
  return new ImageError('corrupt', `A ${method} stream is damaged`, { cause });
}

function wordsOf(bytes: Uint8Array): Int32Array | undefined {
  if (bytes.byteOffset % 4 !== 0 || bytes.length % 4 !== 0) return undefined;
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
