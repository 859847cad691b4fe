import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { PlannedFile } from '@diskmorph/disk-image-node';
import { openUnnamedFile } from '@diskmorph/disk-image-node';
import { stagingFault } from '../../staging/errors.ts';

/** What was found out about an image in another format: it lies in two files without names. */
export interface DownloadPlan {
  /** By which its space is promised. */
  readonly id: string;
  readonly tablesFd: number;
  readonly runsFd: number;
  /** Undefined until it is found out. */
  planned: PlannedFile | undefined;
  /** Until the returned function is called its files stay open. */
  use(): () => Promise<void>;
  /** What its files take of the disk. */
  sizeBytes(): Promise<number>;
}

/** An empty plan, in the directory. Throws the fault of the work directory. */
export async function newDownloadPlan(directory: string): Promise<DownloadPlan> {
  const id = randomUUID();
  const [tables, runs] = await openBoth(directory, id);
  let users = 0;
  return {
    id,
    tablesFd: tables.fd,
    runsFd: runs.fd,
    planned: undefined,
    use() {
      users++;
      let released = false;
      return async () => {
        if (released) return;
        released = true;
        if (--users === 0) await Promise.all([tables.close(), runs.close()]);
      };
    },
    async sizeBytes() {
      const both = await Promise.all([tables.stat(), runs.stat()]);
      return both.reduce((sum, { blocks }) => sum + blocks * STAT_BLOCK_BYTES, 0);
    },
  };
}

/** The unit of `st_blocks`. */
const STAT_BLOCK_BYTES = 512;

async function openBoth(directory: string, id: string): Promise<readonly [FileHandle, FileHandle]> {
  try {
    const tables = await openUnnamedFile(directory, `.${id}.tables`);
    try {
      return [tables, await openUnnamedFile(directory, `.${id}.runs`)];
    } catch (error) {
      await tables.close();
      throw error;
    }
  } catch (error) {
    throw stagingFault('The work directory cannot be used', error);
  }
}
