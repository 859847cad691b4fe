import { Buffer } from 'node:buffer';
import type { Codecs, CompressionMethod } from '@diskmorph/disk-image';
import { libdeflateCodec } from './libdeflate.ts';
import { libzstdCodec } from './libzstd.ts';
import { nodeStreamCodec } from './node-stream-codecs.ts';
import type { StreamCodec } from './stream-codec.ts';
import type { ForeignFunctions } from './system-calls.ts';
import { loadForeignFunctions } from './system-calls.ts';

const ZERO_PAGE = Buffer.alloc(65536);

let made: Codecs | undefined;

/**
 * The codecs of this thread, made once: the system's libdeflate and libzstd where they are plainly there, else Node's
 * own. `DISKMORPH_CODECS=node` in the environment keeps to Node's own.
 */
export function nodeCodecs(): Codecs {
  const native = process.platform === 'linux' && process.env['DISKMORPH_CODECS'] !== 'node';
  made ??= createNodeCodecs(native ? loadForeignFunctions() : undefined);
  return made;
}

/** Codecs that look for the system's libraries through `ffi`; with undefined they are Node's own. Each is loaded when first used. */
export function createNodeCodecs(ffi: ForeignFunctions | undefined): Codecs {
  const loaders: Record<CompressionMethod, (found: ForeignFunctions) => StreamCodec> = {
    deflate: (found) => libdeflateCodec(found, 'deflate'),
    zlib: (found) => libdeflateCodec(found, 'zlib'),
    zstd: libzstdCodec,
  };
  const loaded = new Map<CompressionMethod, StreamCodec>();
  const codec = (method: CompressionMethod): StreamCodec => {
    let found = loaded.get(method);
    if (found === undefined) {
      found = orElse(ffi, loaders[method]) ?? nodeStreamCodec(method);
      loaded.set(method, found);
    }
    return found;
  };
  return {
    decompress: (method, input, output) => codec(method).decompress(input, output),
    compress: (method, level, input, output) => codec(method).compress(level, input, output),
    isZero,
    isEqual: (first, second) => Buffer.compare(first, second) === 0,
    sha256: (bytes) => process.getBuiltinModule('node:crypto').hash('sha256', bytes, 'buffer'),
  };
}

function orElse(
  ffi: ForeignFunctions | undefined,
  load: (found: ForeignFunctions) => StreamCodec,
): StreamCodec | undefined {
  if (ffi === undefined) return undefined;
  try {
    return load(ffi);
  } catch {
    return undefined;
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (let start = 0; start < bytes.length; start += ZERO_PAGE.length) {
    const length = Math.min(ZERO_PAGE.length, bytes.length - start);
    if (ZERO_PAGE.compare(bytes, start, start + length, 0, length) !== 0) return false;
  }
  return true;
}
