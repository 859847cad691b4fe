import type { CompressionMethod } from '@diskmorph/disk-image';
import { ImageError, zstdFrame } from '@diskmorph/disk-image';
import type { StreamCodec } from './stream-codec.ts';

const DEFAULT_LEVEL = 3;

/** The method by Node's own zlib, which is loaded when it is first used: that takes milliseconds. */
export function nodeStreamCodec(method: CompressionMethod): StreamCodec {
  return {
    decompress(input, output) {
      const produced = decompressed(method, input, output.length);
      if (produced.length > output.length) throw damaged(method);
      output.set(produced);
      return produced.length;
    },
    compress(level, input, output) {
      const stored = compressed(method, level ?? DEFAULT_LEVEL, input);
      if (stored.length > output.length) return 0;
      output.set(stored);
      return stored.length;
    },
  };
}

function decompressed(method: CompressionMethod, input: Uint8Array, room: number): Uint8Array {
  const zlib = process.getBuiltinModule('node:zlib');
  const options = { maxOutputLength: Math.max(1, room), chunkSize: Math.max(64, room) };
  try {
    if (method === 'zstd') return zlib.zstdDecompressSync(input.subarray(0, zstdFrame(input).length), options);
    return method === 'deflate' ? zlib.inflateRawSync(input, options) : zlib.inflateSync(input, options);
  } catch (error) {
    throw damaged(method, error);
  }
}

function compressed(method: CompressionMethod, level: number, input: Uint8Array): Uint8Array {
  const zlib = process.getBuiltinModule('node:zlib');
  const chunkSize = input.length + 1024;
  if (method === 'zstd') {
    return zlib.zstdCompressSync(input, { params: { [zlib.constants.ZSTD_c_compressionLevel]: level }, chunkSize });
  }
  const options = { level: Math.min(9, level), chunkSize };
  return method === 'deflate' ? zlib.deflateRawSync(input, options) : zlib.deflateSync(input, options);
}

function damaged(method: CompressionMethod, cause?: unknown): ImageError {
  return new ImageError('corrupt', `A ${method} stream is damaged`, { cause });
}
