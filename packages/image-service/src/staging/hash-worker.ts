import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const PIECE_SIZE = 1024 * 1024;
/** Bytes between two reports. */
const REPORT_SPACING = 32 * PIECE_SIZE;

const { path, algorithm } = workerData as { readonly path: string; readonly algorithm: string };
const hash = createHash(algorithm);
const piece = Buffer.alloc(PIECE_SIZE);
const fd = openSync(path, 'r');
try {
  let done = 0;
  for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) {
    hash.update(count === PIECE_SIZE ? piece : piece.subarray(0, count));
    done += count;
    if (done % REPORT_SPACING === 0) parentPort?.postMessage({ done });
  }
  parentPort?.postMessage({ done, digest: hash.digest('hex') });
} finally {
  closeSync(fd);
}
