import { mkdir, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectory } from '../files/written-file.ts';
import { parseBlobName } from './blob-name.ts';

/** One directory of a store of files. */
export interface StoreDirectory {
  readonly path: string;
  /** The directory with the highest weight that has room is filled first. */
  readonly weight: number;
}

/** How many characters of an image's id name its sub-directory. */
const SUBDIRECTORY_LENGTH = 2;

/** Where a blob lies in a directory: in the sub-directory of its image, or in the directory itself. */
export function blobPath(directory: string, name: string, layout: 'flat' | 'subdirectories'): string {
  return layout === 'flat' ? join(directory, name) : join(directory, name.slice(0, SUBDIRECTORY_LENGTH), name);
}

/** The file of a blob, wherever it lies; undefined when it is nowhere. */
export async function findBlob(directories: readonly StoreDirectory[], name: string): Promise<string | undefined> {
  for (const path of possiblePaths(directories, name)) if (await isFile(path)) return path;
  return undefined;
}

/** Every path that a blob may have: the layout may have been another one when it was stored. */
export function possiblePaths(directories: readonly StoreDirectory[], name: string): readonly string[] {
  return directories.flatMap(({ path }) => [blobPath(path, name, 'flat'), blobPath(path, name, 'subdirectories')]);
}

/** The directories in the order in which they are tried: by weight, then by free space. */
export async function byPreference(directories: readonly StoreDirectory[]): Promise<readonly StoreDirectory[]> {
  if (directories.length === 1) return directories;
  const measured = await Promise.all(
    directories.map(async (directory) => ({ directory, free: await freeBytesOf(directory.path).catch(() => 0) })),
  );
  const sorted = measured.sort((a, b) => b.directory.weight - a.directory.weight || b.free - a.free);
  return sorted.map(({ directory }) => directory);
}

/** The free bytes of the file system that `directory` is on, for users without privileges. */
export async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** The names of an image's blobs in a directory. */
export async function blobNamesIn(directory: string, imageId: string): Promise<readonly string[]> {
  const sub = join(directory, imageId.slice(0, SUBDIRECTORY_LENGTH));
  const names = [...(await readdir(directory)), ...(await readdir(sub).catch(nothingThere))];
  return names.filter((name) => parseBlobName(name)?.imageId === imageId);
}

function nothingThere(error: unknown): readonly string[] {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
  throw error;
}

/** Makes the directory that `path` lies in, below `directory`, and makes its making survive a power cut. */
export async function ensureParent(directory: string, path: string): Promise<void> {
  if (dirname(path) === directory) return;
  const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(directory);
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return false;
    throw error;
  }
}
