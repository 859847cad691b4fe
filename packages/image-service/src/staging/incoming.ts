import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory, writeBytes } from '../files/written-file.ts';
import { StagingError, stagingFault } from './errors.ts';
import type { Digests, HashName, HashThreads } from './hash.ts';

/** What is expected of bytes that somebody sends. */
export interface IncomingLimits {
  /** More are refused. */
  readonly maxBytes: number;
  /** Milliseconds without a byte after which the sender is given up. */
  readonly stallMs: number;
  /** How many there must be, where the sender said it. */
  readonly expectedBytes?: number;
}

/**
 * The bytes as they come, as long as they keep to the limits. Time counts only while the sender is waited for. Throws
 * `too_large`, `stalled`, `cut_off` (fewer or more bytes than were announced), and what the sender's stream throws.
 */
export async function* limitedBytes(
  bytes: AsyncIterable<Uint8Array>,
  { maxBytes, stallMs, expectedBytes }: IncomingLimits,
): AsyncGenerator<Uint8Array> {
  if (expectedBytes !== undefined && expectedBytes > maxBytes) throw tooLarge(maxBytes);
  const pieces = bytes[Symbol.asyncIterator]();
  const patience = patienceOf(stallMs);
  let done = 0;
  try {
    for (;;) {
      const piece = await patience.wait(pieces.next());
      if (piece.done === true) break;
      done += piece.value.length;
      if (done > maxBytes) throw tooLarge(maxBytes);
      yield piece.value;
    }
  } finally {
    patience.end();
    // A sender that is still at it is not waited for.
    void pieces.return?.().then(undefined, () => {});
  }
  if (expectedBytes !== undefined && done !== expectedBytes) {
    throw new StagingError('cut_off', `${done} bytes arrived instead of ${expectedBytes}`);
  }
}

function tooLarge(maxBytes: number): StagingError {
  return new StagingError('too_large', `At most ${maxBytes} bytes are accepted`);
}

/** Waits again and again, each time for `stallMs` at most; then throws `stalled`. One timer serves all waits. */
function patienceOf(stallMs: number): { wait<T>(next: Promise<T>): Promise<T>; end(): void } {
  let giveUp: ((reason: unknown) => void) | undefined;
  const timer = setTimeout(
    () => giveUp?.(new StagingError('stalled', `No byte arrived for ${stallMs / 1000} seconds`)),
    stallMs,
  );
  return {
    wait<T>(next: Promise<T>) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      giveUp = reject;
      timer.refresh();
      next.then(resolve, reject);
      return promise;
    },
    end: () => clearTimeout(timer),
  };
}

/** Bytes that are counted and hashed as they pass. */
export interface HashedBytes<Names extends HashName> {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Of everything that has passed; asked for once, at the end. */
  result(): Promise<{ readonly sizeBytes: number; readonly digests: Digests<Names> }>;
}

/** Lets bytes pass and has them hashed beside; they pass no faster than the slowest digest is computed. */
export function hashedBytes<Names extends HashName>(
  bytes: AsyncIterable<Uint8Array>,
  names: readonly Names[],
  threads: HashThreads,
): HashedBytes<Names> {
  let sizeBytes = 0;
  let ended: Promise<Digests<Names>> | undefined;
  async function* pass(): AsyncGenerator<Uint8Array> {
    const stream = threads.stream(names);
    try {
      for await (const piece of bytes) {
        await stream.write(piece);
        sizeBytes += piece.length;
        yield piece;
      }
      ended = stream.end();
      await ended;
    } finally {
      if (ended === undefined) stream.drop();
    }
  }
  return {
    bytes: pass(),
    async result() {
      if (ended === undefined)
        throw new Error('assertion failed: the bytes have passed when their digests are asked for');
      return { sizeBytes, digests: await ended };
    },
  };
}

/**
 * Writes what comes into the file at `path`, which appears under that name only when it is whole and on the disk.
 * Nothing is left when it fails. Throws what the bytes throw, `insufficient_space`, `io`.
 */
export async function receiveFile(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ readonly sizeBytes: number }> {
  // A sender that was given up may still be writing to a file of its own.
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    const file = await open(partial, 'w', 0o600);
    let sizeBytes: number;
    try {
      sizeBytes = await writeBytes(file, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    await syncDirectory(dirname(path));
    return { sizeBytes };
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw stagingFault('The bytes could not be kept', error);
  }
}
