/** Bytes of a piece but the last. Larger writes are answered by the kernel with larger pages, which cost more in virtual machines (docs/performance.md). */
const PIECE_SIZE = 512 * 1024;

/**
 * The same bytes in larger pieces: whatever handles them costs nearly as much for a small piece as for a large one. A
 * piece is good until the next one is asked for; its memory is used again.
 */
export async function* gatheredBytes(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const memory = new Uint8Array(PIECE_SIZE);
  let filled = 0;
  for await (const piece of bytes) {
    for (let done = 0; done < piece.length;) {
      const part = piece.subarray(done, done + PIECE_SIZE - filled);
      memory.set(part, filled);
      filled += part.length;
      done += part.length;
      if (filled < PIECE_SIZE) continue;
      filled = 0;
      yield memory;
    }
  }
  if (filled > 0) yield memory.subarray(0, filled);
}
