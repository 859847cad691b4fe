import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ImageError } from '@diskmorph/disk-image';
import { syncDirectory } from './checkpoint-files.ts';
import { ioError } from './io-error.ts';

/** Whether finished files are on the disk before they appear, or left to the operating system. */
export type Durability = 'flushed' | 'cached';

/** Where the files of a target grow under their final names until they are whole. */
export interface WorkDirectory {
  readonly path: string;
  pathOf(fileName: string): string;
  /** Removes what an earlier conversion may have left at these paths. */
  clear(paths: readonly string[]): Promise<void>;
  /** Moves the finished files to where they belong, the one named last at the end, and removes the directory. */
  commit(fileNames: readonly string[], targetDirectory: string, durability: Durability): Promise<void>;
  /** Removes the directory with all that is in it; missing means done. */
  remove(): Promise<void>;
}

/** A new directory beside the target, so that the finished files can be renamed into place. */
export async function temporaryWorkDirectory(targetPath: string): Promise<WorkDirectory> {
  try {
    return workDirectory(await mkdtemp(`${targetPath}.partial-`));
  } catch (error) {
    throw ioError(`Cannot write beside ${targetPath}`, error);
  }
}

/** The directory of a conversion that can be resumed; created when it is not there. */
export async function durableWorkDirectory(directory: string): Promise<WorkDirectory> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    throw ioError('Cannot create the work directory', error);
  }
  return workDirectory(directory);
}

function workDirectory(directory: string): WorkDirectory {
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  return {
    path: directory,
    pathOf: (fileName) => path.join(directory, fileName),
    async clear(paths) {
      await Promise.all(paths.map((file) => rm(file, { force: true })));
    },
    async commit(fileNames, targetDirectory, durability) {
      try {
        for (const name of fileNames) await rename(path.join(directory, name), path.join(targetDirectory, name));
        if (durability === 'flushed') await syncDirectory(targetDirectory);
      } catch (error) {
        throw ioError('Cannot move the finished image into place', error);
      }
      await remove();
    },
    remove,
  };
}

/** Where a target that is not resumed is written: beside it, or on the block device that it is. */
export async function placeToWork(targetPath: string): Promise<WorkDirectory> {
  return (await isDevice(targetPath)) ? deviceDirectory(targetPath) : temporaryWorkDirectory(targetPath);
}

/** True for a block device. */
export async function isDevice(targetPath: string): Promise<boolean> {
  return (await stat(targetPath).catch(() => undefined))?.isBlockDevice() === true;
}

/** For a target that is a block device: it is written where it is; what else is needed lies among the temporary files. */
async function deviceDirectory(devicePath: string): Promise<WorkDirectory> {
  const directory = await mkdtemp(path.join(tmpdir(), 'diskmorph-device-'));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  return {
    path: directory,
    pathOf: (fileName) => (fileName === path.basename(devicePath) ? devicePath : path.join(directory, fileName)),
    clear: async () => {},
    commit: remove,
    remove,
  };
}

/** Throws `io` when a file of that name is there and must not be replaced. */
export async function refuseExisting(targetPaths: readonly string[]): Promise<void> {
  for (const target of targetPaths) {
    const found = await stat(target).catch(() => undefined);
    if (found !== undefined) throw new ImageError('io', `${target} exists already; use --force to replace it`);
  }
}
