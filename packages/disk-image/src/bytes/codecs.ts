/**
 * The heavy work on bytes, behind one small port: portable JavaScript by default (`portable-codecs.ts`),
 * native code where the platform has it. Every implementation gives the same decoded content and the same
 * digests; compressed bytes may differ between implementations.
 * All calls are synchronous: they run inside a lane of work, never on a service's event loop.
 */
export interface Codecs {
  /**
   * Decompresses into `output` and returns how many bytes were produced. Bytes of `input` after the end of
   * the stream are ignored. Throws `corrupt` for a damaged stream and for one that would overflow `output`.
   */
  decompress(method: CompressionMethod, input: Uint8Array, output: Uint8Array): number;
  /**
   * Compresses into `output` and returns the stored length, or 0 when the result does not fit (the caller then
   * stores the bytes as they are). Throws `unsupported` where the platform lacks the method.
   */
  compress(method: CompressionMethod, level: number | undefined, input: Uint8Array, output: Uint8Array): number;
  /** True when every byte is 0. */
  isZero(bytes: Uint8Array): boolean;
  /** True when both hold the same bytes; they have the same length. */
  isEqual(first: Uint8Array, second: Uint8Array): boolean;
  /** The 32-byte SHA-256 digest. */
  sha256(bytes: Uint8Array): Uint8Array;
}

/**
 * `deflate`: the bare stream of RFC 1951; `zlib`: wrapped as in RFC 1950; `zstd`: one frame of RFC 8878.
 */
export type CompressionMethod = 'deflate' | 'zlib' | 'zstd';
