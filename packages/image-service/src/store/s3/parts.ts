import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { untilAborted } from '../byte-stream.ts';
import type { BlobContent, BlobFile } from '../store.ts';
import { StoreError } from '../store.ts';

const MEBIBYTE = 2 ** 20;
/** The smallest part that is not the last. Amazon S3 user guide, "Multipart upload limits". */
export const MIN_PART_BYTES: number = 5 * MEBIBYTE;
/** The most parts of one upload; the same place. */
export const MAX_PARTS = 10_000;
/** Of content whose size nobody knows, so many parts have the same size; then they are twice as large. */
const PARTS_BEFORE_GROWTH = 1000;
/** Bytes that are read and digested at once. */
const PIECE_BYTES = MEBIBYTE;

/** The size in bytes of each part of an upload (the last may be shorter), by its number from 1. */
export type PartSizes = (number: number) => number;

/** Part sizes under which the content has at most `MAX_PARTS`. The same for the same content and the same `chunkBytes`. */
export function partSizes(chunkBytes: number, totalBytes: number | undefined): PartSizes {
  const chunk = Math.max(MIN_PART_BYTES, chunkBytes);
  if (totalBytes === undefined) return (number) => chunk * 2 ** Math.floor((number - 1) / PARTS_BEFORE_GROWTH);
  const needed = Math.ceil(totalBytes / MAX_PARTS / MEBIBYTE) * MEBIBYTE;
  return () => Math.max(chunk, needed);
}

/** One part, in memory. */
export interface Part {
  /** From 1. */
  readonly number: number;
  /** Not to be used any more once the part was given back. */
  readonly bytes: Buffer;
  /** Of the bytes. */
  readonly md5: Buffer;
  readonly isLast: boolean;
}

/** The content part by part; there is at least one, which may be empty. */
export interface PartReader {
  /** The next part; undefined after the last. Throws `io` when the bytes are not as many as were announced. */
  next(): Promise<Part | undefined>;
  /** The part's memory may be used again. */
  giveBack(part: Part): void;
  close(): Promise<void>;
}

/** Reads the content once, from its beginning. */
export function partReader(content: BlobContent, sizes: PartSizes, signal: AbortSignal | undefined): PartReader {
  const pieces = 'path' in content ? piecesOf(content) : content.bytes;
  const iterator = untilAborted(pieces, signal)[Symbol.asyncIterator]();
  const free: Buffer[] = [];
  const buffer = (size: number): Buffer => {
    const index = free.findIndex((each) => each.length === size);
    return (index < 0 ? undefined : free.splice(index, 1)[0]) ?? Buffer.allocUnsafeSlow(size);
  };
  let rest: Uint8Array | undefined = new Uint8Array(0);
  let number = 0;
  let total = 0;
  const more = async (): Promise<void> => {
    const { done, value } = await iterator.next();
    rest = done === true ? undefined : value;
  };
  return {
    async next() {
      if (rest === undefined) return undefined;
      number += 1;
      const target = buffer(sizes(number));
      const hash = createHash('md5');
      let filled = 0;
      while (rest !== undefined && filled < target.length) {
        const piece: Uint8Array = rest.subarray(0, target.length - filled);
        target.set(piece, filled);
        hash.update(piece);
        filled += piece.length;
        rest = rest.subarray(piece.length);
        if (rest.length === 0) await nextPiece();
      }
      total += filled;
      requireAnnounced(content, total, rest === undefined);
      return { number, bytes: target.subarray(0, filled), md5: hash.digest(), isLast: rest === undefined };
    },
    giveBack({ bytes }) {
      free.push(Buffer.from(bytes.buffer));
    },
    close: async () => void (await iterator.return?.(undefined)),
  };

  /** Goes on to bytes or to the end: an empty piece is neither. */
  async function nextPiece(): Promise<void> {
    do await more();
    while (rest?.length === 0);
  }
}

function requireAnnounced({ sizeBytes }: BlobContent, total: number, ended: boolean): void {
  if (sizeBytes === undefined || total === sizeBytes || (total < sizeBytes && !ended)) return;
  const amount =
    total > sizeBytes ? `more than the announced ${sizeBytes} bytes` : `${total} bytes instead of ${sizeBytes}`;
  throw new StoreError('io', `The image has ${amount}`);
}

async function* piecesOf({ path, sizeBytes }: BlobFile): AsyncGenerator<Uint8Array> {
  const file = await open(path);
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    // One byte more than announced is asked for, so that a longer file is noticed.
    for (let offset = 0; offset <= sizeBytes;) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, offset);
      if (bytesRead === 0) return;
      offset += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
