import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { StagingError, stagingFault } from './errors.ts';

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The id as given; throws `bad_id` unless it is a UUID in lower case, so that it can be part of a path. */
export function checkedId(id: string): string {
  if (ID.test(id)) return id;
  throw new StagingError('bad_id', `${JSON.stringify(id.slice(0, 100))} is not a UUID`);
}

/** `name` inside `directory`; throws `bad_id` when it would leave it. */
export function pathInside(directory: string, name: string): string {
  const path = join(directory, name);
  const way = relative(directory, path);
  if (way !== '' && !way.startsWith('..') && !way.includes(sep) && !name.includes('\0')) return path;
  throw new StagingError('bad_id', `${JSON.stringify(name.slice(0, 100))} cannot be the name of a file`);
}

/** Scratch directories: one for each job, in a directory that belongs to this installation alone. */
export interface ScratchSpace {
  /** The job's directory, made when it is not there. */
  directory(jobId: string): Promise<string>;
  /** Removes the job's directory with all that is in it; missing means done. */
  remove(jobId: string): Promise<void>;
  /**
   * Removes the directories of those jobs that `choose` does not give back of all that have one, and gives their names. It
   * is asked after the directories were looked at, so that one that is made meanwhile is not judged.
   */
  keepOnly(choose: (jobIds: readonly string[]) => Promise<readonly string[]>): Promise<readonly string[]>;
}

/** How often is tried again what another job was in the way of: its parent was removed, being empty; it was written into. */
const MAX_RACES = 10;
/** Waited before a directory is removed again into which something came meanwhile; a little longer each time. */
const RACE_MS = 5;

/**
 * Scratch directories under `workDir`, apart from what others keep there: their parent bears the installation's id, and
 * `purpose` where one installation has several.
 */
export function scratchSpace(workDir: string, instanceId: string, purpose?: 'uploads'): ScratchSpace {
  const suffix = purpose === undefined ? '' : `-${purpose}`;
  const root = pathInside(workDir, `diskmorph-${checkedId(instanceId)}${suffix}`);
  const removeRoot = async (): Promise<void> => {
    // Not empty: other jobs are at work. Not there: nothing to do.
    await rmdir(root).catch(() => {});
  };
  return {
    async directory(jobId) {
      const path = pathInside(root, checkedId(jobId));
      for (let races = 0; ; races++) {
        try {
          await mkdir(path, { recursive: true, mode: 0o700 });
          return path;
        } catch (error) {
          if (races >= MAX_RACES) throw stagingFault('The work directory cannot be used', error);
        }
      }
    },
    async remove(jobId) {
      await removeTree(pathInside(root, checkedId(jobId)));
      await removeRoot();
    },
    async keepOnly(choose) {
      const names = await namesIn(root);
      const kept = names.length === 0 ? [] : await choose(names);
      const residue = names.filter((name) => !kept.includes(name));
      for (const name of residue) await removeTree(pathInside(root, name));
      await removeRoot();
      return residue;
    },
  };
}

async function removeTree(path: string): Promise<void> {
  try {
    // Whoever writes into it at that moment notices that it is gone.
    await rm(path, { recursive: true, force: true, maxRetries: MAX_RACES, retryDelay: RACE_MS });
  } catch (error) {
    throw stagingFault('The scratch directory cannot be removed', error);
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw stagingFault('The work directory cannot be read', error);
  }
}
