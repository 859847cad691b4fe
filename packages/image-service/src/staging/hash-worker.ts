/** A hashing thread. It serves many streams and files in turn: a file piece by piece, so that no stream waits for it. */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { HashNews, HashOrder } from './hash-messages.ts';
import { SLOT_SIZE } from './hash-messages.ts';

const PIECE_SIZE = 1024 * 1024;
/** Bytes between two reports. */
const REPORT_SPACING = 32 * PIECE_SIZE;

interface OpenDigest {
  readonly hash: Hash;
  readonly slots: Uint8Array;
}

const streams = new Map<number, OpenDigest>();
const files = new Set<number>();
const piece = Buffer.alloc(PIECE_SIZE);

function tell(news: HashNews): void {
  parentPort?.postMessage(news);
}

function beginFile({ digest, algorithm, path }: HashOrder & { readonly kind: 'file' }): void {
  const hash = createHash(algorithm);
  const fd = openSync(path, 'r');
  files.add(digest);
  let done = 0;
  const end = (news?: HashNews): void => {
    files.delete(digest);
    closeSync(fd);
    if (news !== undefined) tell(news);
  };
  const next = (): void => {
    if (!files.has(digest)) return end();
    try {
      const count = readSync(fd, piece);
      if (count === 0) return end({ digest, hex: hash.digest('hex') });
      hash.update(count === PIECE_SIZE ? piece : piece.subarray(0, count));
      done += count;
      if (done % REPORT_SPACING === 0) tell({ digest, done });
    } catch (error) {
      return end({ digest, error });
    }
    setImmediate(next);
  };
  next();
}

function obey(order: HashOrder): void {
  const { digest } = order;
  if (order.kind === 'open') {
    streams.set(digest, { hash: createHash(order.algorithm), slots: new Uint8Array(order.slots) });
  } else if (order.kind === 'update') {
    const start = order.slot * SLOT_SIZE;
    const stream = streams.get(digest);
    stream?.hash.update(stream.slots.subarray(start, start + order.length));
    tell({ digest, slot: order.slot });
  } else if (order.kind === 'finish') {
    const hex = streams.get(digest)?.hash.digest('hex');
    streams.delete(digest);
    if (hex !== undefined) tell({ digest, hex });
  } else if (order.kind === 'file') {
    beginFile(order);
  } else {
    streams.delete(digest);
    files.delete(digest);
  }
}

parentPort?.on('message', (order: HashOrder) => {
  try {
    obey(order);
  } catch (error) {
    tell({ digest: order.digest, error });
  }
});
