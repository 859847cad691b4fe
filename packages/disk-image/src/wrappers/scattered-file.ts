import type { ByteSource } from '../bytes/byte-source.ts';
import { checkInside } from '../bytes/byte-source.ts';
import type { StoredPiece } from './tar-sparse.ts';

/** A file with holes that lies in an archive: its length, and where its pieces are. Plain data. */
export interface ScatteredFile {
  /** Bytes, holes included. */
  readonly length: number;
  /** In ascending order, none empty. */
  readonly pieces: readonly StoredPiece[];
}

/** The file as a source of its own: what is between its pieces reads as zeros. Closing it closes the archive. */
export function scatteredSource(archive: ByteSource, { length, pieces }: ScatteredFile): ByteSource {
  return {
    size: length,
    async read(offset, into, signal) {
      checkInside(length, offset, into.length);
      const end = offset + into.length;
      let done = offset;
      for (let i = firstEndingAfter(pieces, offset); done < end; i++) {
        const piece = pieces[i];
        const start = Math.min(end, Math.max(done, piece?.offset ?? end));
        into.fill(0, done - offset, start - offset);
        done = start;
        if (piece === undefined || start === end) continue;
        const stop = Math.min(end, piece.offset + piece.length);
        await archive.read(
          piece.hostOffset + start - piece.offset,
          into.subarray(start - offset, stop - offset),
          signal,
        );
        done = stop;
      }
    },
    holes: {
      nextData(offset) {
        const piece = pieces[firstEndingAfter(pieces, offset)];
        return piece && { start: Math.max(offset, piece.offset), end: piece.offset + piece.length };
      },
    },
    close: () => archive.close(),
  };
}

/** `size` bytes of the file from `offset` on, as a file of its own. */
export function partOfScattered(
  file: ScatteredFile,
  { offset, size }: { readonly offset: number; readonly size: number },
): ScatteredFile {
  checkInside(file.length, offset, size);
  const pieces: StoredPiece[] = [];
  for (let i = firstEndingAfter(file.pieces, offset); i < file.pieces.length; i++) {
    const piece = file.pieces[i];
    if (piece === undefined || piece.offset >= offset + size) break;
    const start = Math.max(offset, piece.offset);
    const length = Math.min(offset + size, piece.offset + piece.length) - start;
    pieces.push({ offset: start - offset, hostOffset: piece.hostOffset + start - piece.offset, length });
  }
  return { length: size, pieces };
}

/** The index of the first piece of which something lies after `offset`. */
function firstEndingAfter(pieces: readonly StoredPiece[], offset: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const piece = pieces[middle];
    if (piece !== undefined && piece.offset + piece.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
