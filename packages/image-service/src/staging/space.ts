import { stat, statfs } from 'node:fs/promises';
import { StagingError, stagingFault } from './errors.ts';
import type { SpaceClaims } from './space-claims.ts';

/** How somebody asks for space. */
export interface SpaceWish {
  /** Milliseconds that it may take until others give back what they were promised; 0 when absent. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/** Promises of disk space in one directory, so that works beside each other do not each count on the same free bytes. */
export interface SpaceLedger {
  /**
   * Promises `bytes` more to `owner`, instead of what was promised to it before. Throws `insufficient_space`, with both
   * numbers, when the disk has not so many beyond the margin and all other promises.
   */
  reserve(owner: string, bytes: number, wish?: SpaceWish): Promise<void>;
  /** Takes the promise back, for this process at once; ends when other processes can hear of it, and never throws. */
  release(owner: string): Promise<void>;
  /** Removes what processes that are no more have promised here. */
  forgetGone(): Promise<void>;
}

/** All promises of a process: directories on one file system share its free bytes. */
export interface SpaceBook {
  /** `waitMs`: how long wishes that say nothing else wait. */
  ledger(directory: string, waitMs?: number): SpaceLedger;
}

/** What a book counts with. */
export interface SpaceOptions {
  /** Bytes that stay free in every file system. */
  readonly marginBytes: number;
  /** Promises that other processes have made in the same directories; absent: there are no others. */
  readonly claims?: SpaceClaims;
  readonly disk?: Disk;
  readonly now?: () => number;
}

/** What is known of the file system that a directory is on. */
export interface Disk {
  /** Bytes that are free for users without privileges. */
  free(directory: string): Promise<number>;
  /** All its bytes, free or not. */
  total(directory: string): Promise<number>;
  /** The same for all directories on it. */
  id(directory: string): Promise<string>;
}

/** The disks of this machine. */
export const localDisk: Disk = {
  async free(directory) {
    try {
      const { bavail, bsize } = await statfs(directory);
      return bavail * bsize;
    } catch (error) {
      throw stagingFault('The free space of the work directory cannot be told', error);
    }
  },
  async total(directory) {
    const { blocks, bsize } = await statfs(directory);
    return blocks * bsize;
  },
  id: async (directory) => String((await stat(directory)).dev),
};

interface Promised {
  readonly disk: string;
  readonly directory: string;
  readonly bytes: number;
}

/** How often is looked whether others, or other programs, have given space back. */
const LOOK_MS = 1000;

/** A book without promises. */
export function spaceBook({ marginBytes, claims, disk = localDisk, now = Date.now }: SpaceOptions): SpaceBook {
  const promised = new Map<string, Promised>();
  const waiting = new Set<() => void>();
  const sum = (of: (one: Promised) => boolean): number =>
    [...promised.values()].reduce((all, one) => all + (of(one) ? one.bytes : 0), 0);
  const tell = (directory: string): Promise<void> | undefined =>
    claims?.tell(
      directory,
      sum((one) => one.directory === directory),
    );
  /** Gives the bytes that are missing; promises them when none are. */
  const attempt = async (
    key: string,
    directory: string,
    bytes: number,
  ): Promise<{ readonly available: number; readonly atBest: number } | undefined> => {
    promised.delete(key);
    const id = await disk.id(directory);
    const free = (await disk.free(directory)) - marginBytes;
    const others = sum((one) => one.disk === id) + ((await claims?.ofOthers(directory)) ?? 0);
    const available = free - others;
    if (bytes > available) return { available, atBest: (await disk.total(directory)) - marginBytes };
    promised.set(key, { disk: id, directory, bytes });
    await tell(directory);
    return undefined;
  };
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    // One after the other: each must see what the one before was promised.
    const next = last.then(work);
    last = next.catch(() => {});
    return next;
  };
  return {
    ledger: (directory, usualMs = 0) => ({
      async reserve(owner, bytes, { waitMs = usualMs, signal } = {}) {
        const key = `${directory}\0${owner}`;
        const deadline = now() + waitMs;
        for (;;) {
          const short = await inTurn(() => attempt(key, directory, bytes));
          if (short === undefined) return;
          // Other work ends and takes its files away; what the disk would not have when it is empty, it will never have.
          if (bytes > short.atBest || now() >= deadline) throw insufficient(bytes, short.available);
          await changed(waiting, signal);
        }
      },
      async release(owner) {
        const key = `${directory}\0${owner}`;
        if (!promised.delete(key)) return;
        for (const wake of waiting) wake();
        // A claim that somebody makes meanwhile must not be withdrawn after it was made.
        await inTurn(async () => tell(directory)).catch(() => {});
      },
      forgetGone: async () => claims?.forgetGone(directory),
    }),
  };
}

function insufficient(bytes: number, available: number): StagingError {
  return new StagingError(
    'insufficient_space',
    `The work needs ${bytes} bytes of disk space, but only ${Math.max(0, available)} are free for it`,
  );
}

/** Until a promise is given back, or it is time to look again. */
async function changed(waiting: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, LOOK_MS);
  waiting.add(resolve);
  signal?.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
  waiting.delete(resolve);
  signal?.throwIfAborted();
}

/** Bytes of a stream whose number nobody knows are promised so many at once. */
const STEP_BYTES = 256 * 2 ** 20;

/**
 * Lets bytes pass that are being written to the ledger's disk: what is still to come is promised before it comes, all of
 * it where its number is known, else a step ahead. Throws `insufficient_space`. The promise ends with the bytes.
 */
export async function* promisedBytes(
  ledger: SpaceLedger,
  { owner, bytes, totalBytes, wish }: PromisedBytes,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  let known = 0;
  try {
    for await (const piece of bytes) {
      if (done + piece.length > known) {
        known = done + Math.max(STEP_BYTES, piece.length);
        await ledger.reserve(owner, totalBytes === undefined ? known - done : Math.max(0, totalBytes - done), wish);
      }
      yield piece;
      done += piece.length;
    }
  } finally {
    await ledger.release(owner);
  }
}

/** Bytes on their way to a disk. */
export interface PromisedBytes {
  readonly owner: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly totalBytes: number | undefined;
  readonly wish?: SpaceWish;
}
