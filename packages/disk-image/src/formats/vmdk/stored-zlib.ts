const MAX_BLOCK = 65535;
const BLOCK_HEADER = 5;
const ADLER_BASE = 65521;
/** So many bytes keep both sums below 2^32 before they must be reduced. RFC 1950, section 8.2. */
const ADLER_STRIDE = 5552;

/** Bytes of a zlib stream that holds `length` bytes as they are. */
export function storedZlibLength(length: number): number {
  return 2 + Math.ceil(length / MAX_BLOCK) * BLOCK_HEADER + length + 4;
}

/**
 * Puts `bytes` (at least one) into a zlib stream without compressing them, and returns the stream's length.
 * RFC 1950; RFC 1951, section 3.2.4.
 */
export function storeZlib(bytes: Uint8Array, into: Uint8Array): number {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  view.setUint16(0, 0x7801);
  let at = 2;
  for (let start = 0; start < bytes.length; start += MAX_BLOCK) {
    const block = bytes.subarray(start, start + MAX_BLOCK);
    into[at] = start + block.length === bytes.length ? 1 : 0;
    view.setUint16(at + 1, block.length, true);
    view.setUint16(at + 3, block.length ^ 0xffff, true);
    into.set(block, at + BLOCK_HEADER);
    at += BLOCK_HEADER + block.length;
  }
  view.setUint32(at, adler32(bytes));
  return at + 4;
}

function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (let start = 0; start < bytes.length; start += ADLER_STRIDE) {
    const end = Math.min(bytes.length, start + ADLER_STRIDE);
    for (let i = start; i < end; i++) {
      low += bytes[i] ?? 0;
      high += low;
    }
    low %= ADLER_BASE;
    high %= ADLER_BASE;
  }
  return high * 65536 + low;
}
