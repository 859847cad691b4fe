import type { FileHandle } from 'node:fs/promises';
import { lentMemory } from './byte-stream.ts';

/** Bytes of a piece but the last. */
const PIECE_SIZE = 512 * 1024;

/** A part of a file, from its offset on. */
export interface FilePart {
  readonly offset: number;
  readonly length: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The pieces of a part of a file, each read while the one before is used; fewer bytes where the file ends early. Memory that
 * is given back is used again: new pages for every piece would cost as much as the reading. Throws the signal's reason, and
 * what the reading throws. Closes the file.
 */
export async function* filePieces(file: FileHandle, { offset, length, signal }: FilePart): AsyncGenerator<Uint8Array> {
  const memory = lentMemory(PIECE_SIZE);
  const end = offset + length;
  const read = async (position: number): Promise<Uint8Array> => {
    const into = memory.take();
    const wanted = Math.max(0, Math.min(PIECE_SIZE, end - position));
    let done = 0;
    while (done < wanted) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(into, done, wanted - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done === PIECE_SIZE ? into : into.subarray(0, done);
  };
  let coming = read(offset);
  try {
    for (let position = offset; position < end; position += PIECE_SIZE) {
      const piece = await coming;
      if (piece.length === PIECE_SIZE && position + PIECE_SIZE < end) {
        coming = read(position + PIECE_SIZE);
        // Whoever leaves in between does not hear of it.
        coming.catch(() => {});
      }
      if (piece.length > 0) yield piece;
      if (piece.length < PIECE_SIZE) return;
    }
  } finally {
    await coming.catch(() => {});
    await file.close();
  }
}
