import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, stat, statfs } from 'node:fs/promises';
import type { CachedCopy, CacheDirectory } from './cache-directory.ts';
import { openCacheDirectory } from './cache-directory.ts';
import type { CopyKey } from './cached-name.ts';
import type { CopyFill } from './copy-fill.ts';
import { beginFill } from './copy-fill.ts';

/** A half-open range of bytes. */
export interface CopyRange {
  readonly offset: number;
  readonly length: number;
}

/** A copy of an image's bytes that is at hand. */
export interface CopyAtHand {
  readonly sizeBytes: number;
  /** The bytes; those of `otherwise` when the copy was removed in the meantime. */
  read(range: CopyRange | undefined, otherwise: () => AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** The copy, open for reading; undefined when it was removed in the meantime. */
  file(): Promise<FileHandle | undefined>;
}

/** Bytes that are hashed as they pass, as the staging area does it. */
export type HashBytes = (bytes: AsyncIterable<Uint8Array>) => {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Their SHA-512 in hex, once all have passed. */
  digest(): Promise<string>;
};

/** What a cache is made of. */
export interface ImageCacheOptions {
  /** A directory for this cache alone. */
  readonly directory: string;
  /** Copies are removed, those that were not asked for the longest first, so that all take no more than this. */
  readonly maxBytes: number;
  /** An unfinished copy to which nothing was written for so long is removed. Milliseconds. */
  readonly stallMs: number;
  /** Bytes that stay free on the disk. */
  readonly marginBytes: number;
  readonly hash: HashBytes;
  readonly now: () => number;
  readonly log: (message: string) => void;
}

/** Copies of images that lie elsewhere, on this machine. Nothing of it is needed: what fails here is logged, and done without. */
export interface ImageCache {
  /** The copy, if there is one; counts a hit. */
  open(key: CopyKey, sizeBytes: number): Promise<CopyAtHand | undefined>;
  /** Lets all bytes of an image pass and keeps them, unless there is no room or somebody else is doing it. */
  keep(key: CopyKey, sizeBytes: number, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  has(key: CopyKey): Promise<boolean>;
  list(): Promise<readonly CachedCopy[]>;
  /** Removes all copies of the image, also one that is being made. */
  remove(imageId: string): Promise<void>;
  /** Removes every copy. */
  clear(): Promise<void>;
  /** Removes copies that are not wanted, and what stopped or was cut off. */
  clean(isWanted: (key: CopyKey) => Promise<boolean>): Promise<void>;
  /** Removes copies until all take no more than they may. */
  prune(): Promise<{ readonly files: number; readonly bytes: number }>;
  /** Which images are to be copied, longest waiting first. */
  readonly queue: Pick<CacheDirectory, 'queued' | 'enqueue' | 'dequeue'>;
}

/** Opens the cache; unfinished copies of an earlier process are removed. */
export async function openImageCache(options: ImageCacheOptions): Promise<ImageCache> {
  const directory = await openCacheDirectory(options.directory);
  await directory.tidy(Number.POSITIVE_INFINITY);
  const fills = new Map<string, CopyFill>();
  const prune = (room: number): Promise<Pruned> => pruneTo(directory, options.maxBytes - room);
  const fillNow = async (key: CopyKey, sizeBytes: number): Promise<CopyFill | undefined> => {
    const path = directory.copyPath(key);
    if (path === undefined || fills.has(path) || sizeBytes > options.maxBytes) return undefined;
    const promised = [...fills.values()].reduce((sum, fill) => sum + fill.sizeBytes, 0);
    if (promised + sizeBytes > options.maxBytes || (await isFile(path))) return undefined;
    await prune(promised + sizeBytes);
    if ((await freeBytes(options.directory)) - options.marginBytes < sizeBytes) return undefined;
    const fill = beginFill({ directory: directory.incomplete, path, key, sizeBytes, log: options.log });
    fills.set(path, fill);
    return fill;
  };
  let last: Promise<unknown> = Promise.resolve();
  const fillOf = (key: CopyKey, sizeBytes: number): Promise<CopyFill | undefined> => {
    // One after the other: each must see the room that the one before has taken.
    const next = last.then(() => fillNow(key, sizeBytes));
    last = next.catch(() => {});
    return next;
  };
  return {
    async open(key, sizeBytes) {
      const path = directory.copyPath(key);
      const found = path === undefined ? undefined : await sizeOf(path);
      if (path === undefined || found === undefined) return undefined;
      if (found !== sizeBytes) {
        await directory.remove(key);
        return undefined;
      }
      await directory
        .noteHit(key)
        .catch((error: unknown) => options.log(`a hit of the cache was not counted: ${error}`));
      return {
        sizeBytes,
        read: (range, otherwise) => readCopy(path, { range, sizeBytes }, otherwise),
        file: () => openCopy(path),
      };
    },
    async *keep(key, sizeBytes, bytes) {
      const fill = await fillOf(key, sizeBytes).catch((error: unknown) => {
        options.log(`image ${key.imageId} is not cached: ${error}`);
        return undefined;
      });
      if (fill === undefined) return yield* bytes;
      try {
        const hashed = options.hash(bytes);
        for await (const piece of hashed.bytes) {
          await fill.write(piece);
          yield piece;
        }
        await fill.finish(() => hashed.digest());
      } finally {
        await fill.drop();
        fills.delete(directory.copyPath(key) ?? '');
      }
    },
    async has(key) {
      const path = directory.copyPath(key);
      return path !== undefined && (await isFile(path));
    },
    list: () => directory.list(),
    async remove(imageId) {
      for (const fill of fills.values()) if (fill.key.imageId === imageId) fill.abandon();
      for (const copy of await directory.list()) if (copy.imageId === imageId) await directory.remove(copy);
    },
    async clear() {
      for (const fill of fills.values()) fill.abandon();
      for (const copy of await directory.list()) await directory.remove(copy);
    },
    async clean(isWanted) {
      for (const copy of await directory.list()) if (!(await isWanted(copy))) await directory.remove(copy);
      await directory.tidy(options.now() - options.stallMs);
    },
    prune: () => prune(0),
    queue: directory,
  };
}

interface Pruned {
  readonly files: number;
  readonly bytes: number;
}

function usedAt({ lastAccessed, lastModified }: CachedCopy): number {
  return lastAccessed ?? lastModified;
}

async function pruneTo(directory: CacheDirectory, most: number): Promise<Pruned> {
  const copies = await directory.list();
  let left = copies.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let pruned: Pruned = { files: 0, bytes: 0 };
  for (const copy of copies.toSorted((a, b) => usedAt(a) - usedAt(b))) {
    if (left <= most) break;
    await directory.remove(copy);
    left -= copy.sizeBytes;
    pruned = { files: pruned.files + 1, bytes: pruned.bytes + copy.sizeBytes };
  }
  return pruned;
}

interface Reading {
  readonly range: CopyRange | undefined;
  readonly sizeBytes: number;
}

const READ_SIZE = 256 * 1024;

async function* readCopy(
  path: string,
  { range, sizeBytes }: Reading,
  otherwise: () => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const start = range?.offset ?? 0;
  const end = range === undefined ? sizeBytes : Math.min(sizeBytes, start + range.length);
  if (start >= end) return;
  const file = await openCopy(path);
  if (file === undefined) return yield* otherwise();
  // What is open is read to its end, whoever removes it.
  yield* createReadStream(path, {
    fd: file,
    start,
    end: end - 1,
    highWaterMark: READ_SIZE,
  }) as AsyncIterable<Uint8Array>;
}

async function openCopy(path: string): Promise<FileHandle | undefined> {
  return open(path).catch(() => undefined);
}

async function isFile(path: string): Promise<boolean> {
  return (await sizeOf(path)) !== undefined;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
