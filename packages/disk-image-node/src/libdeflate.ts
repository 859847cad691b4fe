import type { Codecs, CompressionMethod } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import { loadForeignFunctions } from './system-calls.ts';

/** Returned by the library for a good stream. libdeflate.h, `enum libdeflate_result`. */
const LIBDEFLATE_SUCCESS = 0;
const MAX_LEVEL = 12;
const LIBRARY_NAMES = ['libdeflate.so.0'];

/**
 * deflate and zlib by the system's libdeflate, or undefined where it is not plainly there. Its state is made once for
 * each thread and level and reused. Lengths given to the library are always those of the arrays themselves.
 */
export function loadLibdeflate(): Pick<Codecs, 'compress' | 'decompress'> | undefined {
  if (process.platform !== 'linux' || process.env['DISKMORPH_CODECS'] === 'node') return undefined;
  const ffi = loadForeignFunctions();
  if (ffi === undefined) return undefined;
  for (const name of LIBRARY_NAMES) {
    try {
      return libdeflateCodecs(ffi, name);
    } catch {
      continue;
    }
  }
  return undefined;
}

function libdeflateCodecs(
  ffi: NonNullable<ReturnType<typeof loadForeignFunctions>>,
  library: string,
): Pick<Codecs, 'compress' | 'decompress'> {
  const decompressSignature = {
    arguments: ['pointer', 'buffer', 'u64', 'buffer', 'u64', 'buffer'],
    return: 'i32',
  } as const;
  const compressSignature = { arguments: ['pointer', 'buffer', 'u64', 'buffer', 'u64'], return: 'u64' } as const;
  const { functions } = ffi.dlopen(library, {
    libdeflate_alloc_decompressor: { arguments: [], return: 'pointer' },
    libdeflate_alloc_compressor: { arguments: ['i32'], return: 'pointer' },
    libdeflate_deflate_decompress: decompressSignature,
    libdeflate_zlib_decompress: decompressSignature,
    libdeflate_deflate_compress: compressSignature,
    libdeflate_zlib_compress: compressSignature,
  });
  const decompressor = functions.libdeflate_alloc_decompressor();
  const compressors = new Map<number, bigint>();
  const compressorFor = (level: number): bigint => {
    const made = compressors.get(level) ?? functions.libdeflate_alloc_compressor(level);
    compressors.set(level, made);
    return made;
  };
  const producedLength = new BigUint64Array(1);
  const producedBytes = new Uint8Array(producedLength.buffer);
  return {
    decompress(method, input, output) {
      if (input.length === 0) throw damaged(method);
      const call =
        method === 'deflate' ? functions.libdeflate_deflate_decompress : functions.libdeflate_zlib_decompress;
      const result = call(decompressor, input, BigInt(input.length), output, BigInt(output.length), producedBytes);
      if (result !== LIBDEFLATE_SUCCESS) throw damaged(method);
      return Number(producedLength[0]);
    },
    compress(method, level, input, output) {
      const call = method === 'deflate' ? functions.libdeflate_deflate_compress : functions.libdeflate_zlib_compress;
      const compressor = compressorFor(Math.min(MAX_LEVEL, Math.max(0, level ?? 0)));
      return Number(call(compressor, input, BigInt(input.length), output, BigInt(output.length)));
    },
  };
}

function damaged(method: CompressionMethod): ImageError {
  return new ImageError('corrupt', `A ${method} stream is damaged`);
}
