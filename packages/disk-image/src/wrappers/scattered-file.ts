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
      into.fill(0);
      const end = offset + into.length;
      for (let i = firstEndingAfter(pieces, offset); ;) {
        const span = spanFrom(pieces, i, { start: offset, end });
        if (span === undefined) return;
        await readSpan(archive, { offset, into }, span, signal);
        i = span.next;
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

/** Pieces that follow each other in the archive are read at once, up to this many bytes. */
const SPAN_BYTES = 256 * 1024;

/** Parts of pieces, wanted bytes of the file each, that follow each other in the archive. */
interface Span {
  readonly parts: readonly StoredPiece[];
  readonly length: number;
  /** The index of the piece after them. */
  readonly next: number;
}

function spanFrom(
  pieces: readonly StoredPiece[],
  first: number,
  wanted: { readonly start: number; readonly end: number },
): Span | undefined {
  const parts: StoredPiece[] = [];
  let length = 0;
  let next = first;
  for (; next < pieces.length; next++) {
    const piece = pieces[next];
    if (piece === undefined || piece.offset >= wanted.end) break;
    const offset = Math.max(wanted.start, piece.offset);
    const part = {
      offset,
      hostOffset: piece.hostOffset + offset - piece.offset,
      length: Math.min(wanted.end, piece.offset + piece.length) - offset,
    };
    const last = parts.at(-1);
    const follows = last === undefined || last.hostOffset + last.length === part.hostOffset;
    if (!follows || (last !== undefined && length + part.length > SPAN_BYTES)) break;
    parts.push(part);
    length += part.length;
  }
  return parts.length === 0 ? undefined : { parts, length, next };
}

async function readSpan(
  archive: ByteSource,
  request: { readonly offset: number; readonly into: Uint8Array },
  { parts, length }: Span,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [first] = parts;
  if (first === undefined) return;
  const at = first.offset - request.offset;
  if (parts.length === 1) {
    await archive.read(first.hostOffset, request.into.subarray(at, at + length), signal);
    return;
  }
  const bytes = new Uint8Array(length);
  await archive.read(first.hostOffset, bytes, signal);
  let done = 0;
  for (const part of parts) {
    request.into.set(bytes.subarray(done, done + part.length), part.offset - request.offset);
    done += part.length;
  }
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
