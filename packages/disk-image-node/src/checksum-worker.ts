import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { ChecksumWork } from './checksum-span.ts';
import { checksumSpan } from './checksum-span.ts';
import { systemCalls } from './system-calls.ts';

/** Small enough to stay in the processor's cache from the read to the digest. */
const PIECE_BYTES = 256 * 1024;

const { path, name, memory } = workerData as ChecksumWork;
const span = checksumSpan(memory);
const hash = createHash(name);
const piece = Buffer.alloc(PIECE_BYTES);
const zeros = Buffer.alloc(PIECE_BYTES);
const fd = openSync(path, 'r');
/** The data that is being read; before its start is a hole. */
let data = { start: 0, end: 0 };
try {
  let done = 0;
  for (let end = span.waitBeyond(done); end > done; end = span.waitBeyond(done)) {
    while (done < end) done += hashNext(done, end);
    parentPort?.postMessage({ done });
  }
  if (!span.isStopped()) parentPort?.postMessage({ done, digest: hash.digest('hex') });
} finally {
  closeSync(fd);
}

/** Digests what is at `offset`, a piece of data or a hole at once, and says how many bytes that was. */
function hashNext(offset: number, end: number): number {
  if (offset >= data.end) data = nextData(offset, end);
  if (offset < data.start) return hashZeros(Math.min(data.start, end) - offset);
  const length = Math.min(PIECE_BYTES, data.end - offset, end - offset);
  const count = readSync(fd, piece, 0, length, offset);
  if (count === 0) throw new Error(`${path} ends at byte ${offset}, and ${end} were written`);
  hash.update(piece.subarray(0, count));
  return count;
}

/**
 * The next data at or after `offset`. A hole is known as such only before `end`, behind which the file still grows;
 * zeros at its end need not be in it yet.
 */
function nextData(offset: number, end: number): { readonly start: number; readonly end: number } {
  const found = systemCalls().nextData(fd, offset);
  if (found === null) return { start: offset, end };
  if (found === undefined || found.start >= end) return { start: end, end };
  return found;
}

function hashZeros(length: number): number {
  for (let done = 0; done < length; done += PIECE_BYTES) hash.update(zeros.subarray(0, length - done));
  return length;
}
