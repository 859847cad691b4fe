import { rename, rm, stat } from 'node:fs/promises';
import type { FileCopy } from './copy.ts';
import { copyBytes } from './copy.ts';
import { StagingError, stagingFault } from './errors.ts';
import type { Digests, HashName, HashThreads, HashWork } from './hash.ts';
import type { HashedBytes } from './incoming.ts';
import { hashedBytes, receiveFile } from './incoming.ts';
import type { ScratchSpace } from './scratch.ts';
import { checkedId, pathInside, scratchSpace } from './scratch.ts';
import type { SpaceBook, SpaceLedger } from './space.ts';
import { spaceBook } from './space.ts';

/** Everything that is done with bytes before they are an image in a store. */
export interface Staging extends ScratchSpace, SpaceLedger {
  /** The path of a file of the job, whether it is there or not; its directory is. Throws `bad_id`. */
  pathOf(jobId: string, fileName: string): Promise<string>;
  /** Copies a file in, flushed, its space promised to `owner` beforehand; see `copyBytes` and `SpaceLedger`. */
  bringIn(owner: string, copy: FileCopy): Promise<{ readonly sizeBytes: number }>;
  /** Writes what comes into a file of the job; see `receiveFile`. */
  receive(path: string, bytes: AsyncIterable<Uint8Array>): Promise<{ readonly sizeBytes: number }>;
  hash<Names extends HashName>(path: string, names: readonly Names[], work?: HashWork): Promise<Digests<Names>>;
  /** Lets bytes pass and has them hashed beside; see `hashedBytes`. */
  hashed<Names extends HashName>(bytes: AsyncIterable<Uint8Array>, names: readonly Names[]): HashedBytes<Names>;
  /**
   * Moves a file of the staging area to a path of the job; a file that was moved there already stays. Throws `io`,
   * `bad_source` when it is at neither place.
   */
  adopt(from: string, to: string): Promise<{ readonly sizeBytes: number }>;
  /**
   * Fills a directory with what an earlier holder of the job has left under the same name, where that lies elsewhere; what
   * changes meanwhile is not taken over.
   */
  takeOver(path: string, work: Pick<FileCopy, 'signal' | 'onBytes'>): Promise<void>;
  /** Removes a file or directory; missing means done. */
  discard(path: string): Promise<void>;
}

/** Staging in `workDir`, in a directory of its own that bears the installation's id. */
export function openStaging(options: {
  readonly workDir: string;
  readonly instanceId: string;
  readonly marginBytes: number;
  readonly hashing: HashThreads;
  /** In which its promises stand; one of its own when absent. */
  readonly space?: SpaceBook;
  /** Milliseconds that work may wait for space; 0 when absent. */
  readonly waitMs?: number;
  /** Tells apart what one installation keeps for several purposes. */
  readonly purpose?: 'uploads';
}): Staging {
  const scratch = scratchSpace(options.workDir, options.instanceId, options.purpose);
  const book = options.space ?? spaceBook({ marginBytes: options.marginBytes });
  const space = book.ledger(options.workDir, options.waitMs);
  return {
    ...scratch,
    ...space,
    async keepOnly(choose) {
      const residue = await scratch.keepOnly(choose);
      await space.forgetGone();
      return residue;
    },
    pathOf: async (jobId, fileName) => pathInside(await scratch.directory(checkedId(jobId)), fileName),
    async bringIn(owner, copy) {
      const source = await stat(copy.from).catch((error: unknown) => {
        throw stagingFault('The source cannot be read', error);
      });
      if (source.size <= (copy.maxBytes ?? source.size)) {
        await space.reserve(owner, source.size, copy.signal === undefined ? {} : { signal: copy.signal });
      }
      return copyBytes(copy);
    },
    receive: receiveFile,
    hash: (path, names, work) => options.hashing.file(path, names, work),
    hashed: (bytes, names) => hashedBytes(bytes, names, options.hashing),
    adopt: adoptFile,
    takeOver: async () => {},
    async discard(path) {
      try {
        await rm(path, { recursive: true, force: true });
      } catch (error) {
        throw stagingFault('A scratch file cannot be removed', error);
      }
    },
  };
}

async function adoptFile(from: string, to: string): Promise<{ readonly sizeBytes: number }> {
  const moved = await stat(to).catch(() => undefined);
  if (moved !== undefined) return { sizeBytes: moved.size };
  const waiting = await stat(from).catch((error: unknown) => {
    throw new StagingError('bad_source', 'The staged data is no longer there', error);
  });
  try {
    await rename(from, to);
  } catch (error) {
    const acrossDisks = error instanceof Error && 'code' in error && error.code === 'EXDEV';
    if (!acrossDisks) throw stagingFault('The staged data cannot be moved', error);
    await copyBytes({ from, to: `${to}.partial` });
    await rename(`${to}.partial`, to);
    await rm(from, { force: true });
  }
  return { sizeBytes: waiting.size };
}
