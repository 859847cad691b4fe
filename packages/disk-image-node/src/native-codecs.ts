import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import zlib from 'node:zlib';
import type { Codecs, CompressionMethod } from '@diskmorph/disk-image';
import { ImageError, zstdFrameLength } from '@diskmorph/disk-image';
import { loadLibdeflate } from './libdeflate.ts';

const DEFAULT_DEFLATE_LEVEL = 3;
const DEFAULT_ZSTD_LEVEL = 3;
const ZERO_PAGE_SIZE = 65536;

/** The codecs of this process: native ones, with libdeflate for deflate where the system has it. Made once. */
export function nodeCodecs(): Codecs {
  cached ??= createNodeCodecs(loadLibdeflate());
  return cached;
}

let cached: Codecs | undefined;

/** Codecs over Node's own zlib, zstd and crypto; `deflate` replaces Node's for deflate and zlib streams. */
export function createNodeCodecs(deflate: Pick<Codecs, 'compress' | 'decompress'> | undefined): Codecs {
  const zeroPage = Buffer.alloc(ZERO_PAGE_SIZE);
  return {
    decompress: (method, input, output) =>
      method === 'zstd' || deflate === undefined
        ? decompress(method, input, output)
        : deflate.decompress(method, input, output),
    compress: (method, level, input, output) =>
      method === 'zstd' || deflate === undefined
        ? compress(method, level, input, output)
        : deflate.compress(method, level ?? DEFAULT_DEFLATE_LEVEL, input, output),
    isZero(bytes) {
      for (let start = 0; start < bytes.length; start += ZERO_PAGE_SIZE) {
        const length = Math.min(ZERO_PAGE_SIZE, bytes.length - start);
        if (zeroPage.compare(bytes, start, start + length, 0, length) !== 0) return false;
      }
      return true;
    },
    sha256: (bytes) => hash('sha256', bytes, 'buffer'),
  };
}

function decompress(method: CompressionMethod, input: Uint8Array, output: Uint8Array): number {
  const options = { maxOutputLength: Math.max(1, output.length), chunkSize: Math.max(64, output.length) };
  let produced: Buffer;
  try {
    if (method === 'zstd') produced = zlib.zstdDecompressSync(input.subarray(0, zstdFrameLength(input)), options);
    else if (method === 'deflate') produced = zlib.inflateRawSync(input, options);
    else produced = zlib.inflateSync(input, options);
  } catch (error) {
    throw new ImageError('corrupt', `A ${method} stream is damaged`, { cause: error });
  }
  if (produced.length > output.length) throw new ImageError('corrupt', `A ${method} stream is longer than it may be`);
  output.set(produced);
  return produced.length;
}

function compress(method: CompressionMethod, level: number | undefined, input: Uint8Array, output: Uint8Array): number {
  const stored = compressed(method, level, input);
  if (stored.length > output.length) return 0;
  output.set(stored);
  return stored.length;
}

function compressed(method: CompressionMethod, level: number | undefined, input: Uint8Array): Buffer {
  const chunkSize = input.length + 1024;
  if (method === 'zstd') {
    const params = { [zlib.constants.ZSTD_c_compressionLevel]: level ?? DEFAULT_ZSTD_LEVEL };
    return zlib.zstdCompressSync(input, { params, chunkSize });
  }
  const options = { level: Math.min(9, level ?? DEFAULT_DEFLATE_LEVEL), chunkSize };
  return method === 'deflate' ? zlib.deflateRawSync(input, options) : zlib.deflateSync(input, options);
}
