import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

/** Deterministic bytes that compress by about a half. */
export function patternBytes(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer);
  let state = seed | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = i % 2 === 0 ? state : 0x20202020;
  }
  return bytes;
}

const PIECE = 64 * 1024;

/**
 * Writes a raw disk of `size` bytes with data in about `fill` of its 64 KiB pieces, holes elsewhere, and some pieces of
 * explicit zeros.
 */
export async function writeSparseDisk(path: string, size: number, fill: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(size);
    for (let piece = 0; piece * PIECE < size; piece++) {
      const draw = createHash('sha256').update(`${size}:${piece}`).digest();
      if (draw.readUInt32LE(0) / 2 ** 32 > fill) continue;
      const isZero = (draw[4] ?? 0) < 16;
      const bytes = isZero ? new Uint8Array(PIECE) : patternBytes(PIECE, draw.readInt32LE(5));
      await file.write(bytes.subarray(0, Math.min(PIECE, size - piece * PIECE)), 0, undefined, piece * PIECE);
    }
  } finally {
    await file.close();
  }
}
