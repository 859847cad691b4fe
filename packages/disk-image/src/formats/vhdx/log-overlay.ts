import type { ByteSource } from '../../bytes/byte-source.ts';
import { safeU64 } from '../../bytes/numbers.ts';
import { MAX_LOG_UPDATES } from './limits.ts';
import type { LogEntry } from './log-entry.ts';
import { vhdxError } from './vhdx-error.ts';

/** A piece of the file that the log has changed; `[start, end)` in the file. */
interface Piece {
  readonly start: number;
  readonly end: number;
  /** The bytes of the piece; zeros when undefined. */
  readonly data: Uint8Array | undefined;
}

/**
 * The file as it is once the entries are applied, without changing it. Bytes that neither the file nor the log has stay
 * missing: a writer would grow the file with zeros up to `LastFileOffset`, but a reader cannot tell that from a file that
 * was cut off. Throws `corrupt` for places that no file has and for more updates than are accepted.
 */
export function logOverlay(source: ByteSource, entries: readonly LogEntry[]): ByteSource {
  const pieces: Piece[] = [];
  let count = 0;
  for (const { updates } of entries) {
    count += updates.length;
    if (count > MAX_LOG_UPDATES) {
      throw vhdxError('unsafe', `The log holds more than ${MAX_LOG_UPDATES} updates that were not applied`, 'log');
    }
    for (const update of updates) {
      const context = { format: 'vhdx', structure: 'log', field: 'file offset of an update' };
      const start = safeU64(update.fileOffset, context);
      const end = safeU64(update.fileOffset + update.length, context);
      // Zeros after the end of the file would make a disk of nothing look like a disk of data.
      const inside = update.data === undefined ? Math.min(end, source.size) : end;
      if (inside > start) place(pieces, { start, end: inside, data: update.data });
    }
  }
  return overlaySource(source, pieces);
}

/** Puts the piece over those that are there: `pieces` stays sorted and without overlap. */
function place(pieces: Piece[], piece: Piece): void {
  const first = firstEndingAfter(pieces, piece.start);
  let after = first;
  for (let next = pieces[after]; next !== undefined && next.start < piece.end; next = pieces[++after]);
  const kept: Piece[] = [];
  const left = pieces[first];
  const right = pieces[after - 1];
  // Only zeros are longer than the 4 KiB to which everything is aligned, so only zeros are ever cut.
  if (after > first && left !== undefined && left.start < piece.start) kept.push({ ...left, end: piece.start });
  kept.push(piece);
  if (after > first && right !== undefined && right.end > piece.end) kept.push({ ...right, start: piece.end });
  pieces.splice(first, after - first, ...kept);
}

/** Index of the first piece that ends after `offset`. */
function firstEndingAfter(pieces: readonly Piece[], offset: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pieces[middle]?.end ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function overlaySource(source: ByteSource, pieces: readonly Piece[]): ByteSource {
  return {
    size: Math.max(source.size, pieces.at(-1)?.end ?? 0),
    async read(offset, into, signal) {
      const end = offset + into.length;
      let position = offset;
      for (let i = firstEndingAfter(pieces, offset); position < end; i++) {
        const piece = pieces[i];
        const stop = Math.min(end, piece?.start ?? end);
        if (stop > position) await source.read(position, into.subarray(position - offset, stop - offset), signal);
        position = Math.max(position, stop);
        if (piece === undefined || position >= end) return;
        const pieceEnd = Math.min(end, piece.end);
        const part = into.subarray(position - offset, pieceEnd - offset);
        if (piece.data === undefined) part.fill(0);
        else part.set(piece.data.subarray(position - piece.start, pieceEnd - piece.start));
        position = pieceEnd;
      }
    },
    close: () => source.close(),
  };
}
