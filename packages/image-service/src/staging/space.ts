import { statfs } from 'node:fs/promises';
import { StagingError, stagingFault } from './errors.ts';

/** Promises of disk space, so that works beside each other do not each count on the same free bytes. */
export interface SpaceLedger {
  /**
   * Promises `bytes` to `owner`, instead of what was promised to it before. Throws `no_space` when the disk has not so
   * many beyond the margin and all other promises.
   */
  reserve(owner: string, bytes: number): Promise<void>;
  release(owner: string): void;
}

/** Tells how many bytes are free for us in a directory. */
export type FreeSpace = (directory: string) => Promise<number>;

/** The free bytes of the file system that `directory` is on, for users without privileges. */
export const freeSpace: FreeSpace = async (directory) => {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch (error) {
    throw stagingFault('The free space of the work directory cannot be told', error);
  }
};

/** A ledger over one directory. */
export function spaceLedger(directory: string, marginBytes: number, free: FreeSpace = freeSpace): SpaceLedger {
  const promised = new Map<string, number>();
  const promise = async (owner: string, bytes: number): Promise<void> => {
    promised.delete(owner);
    const others = [...promised.values()].reduce((sum, each) => sum + each, 0);
    const available = (await free(directory)) - marginBytes - others;
    if (bytes > available) {
      throw new StagingError(
        'no_space',
        `The work needs ${bytes} bytes of disk space, but only ${Math.max(0, available)} are free for it`,
      );
    }
    promised.set(owner, bytes);
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    reserve(owner, bytes) {
      // One after the other: each must see what the one before was promised.
      const next = last.then(() => promise(owner, bytes));
      last = next.catch(() => {});
      return next;
    },
    release(owner) {
      promised.delete(owner);
    },
  };
}
