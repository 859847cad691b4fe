import { appendFile, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CopyKey } from './cached-name.ts';
import { copyName, isImageId, parseCopyName } from './cached-name.ts';

/** One whole copy. Times in milliseconds since 1970. */
export interface CachedCopy extends CopyKey {
  readonly sizeBytes: number;
  readonly hits: number;
  /** Of the last hit; null before the first. */
  readonly lastAccessed: number | null;
  readonly lastModified: number;
}

/**
 * How copies lie in their directory: whole ones as `<image id>.<digest>`, a byte for each hit in a file beside them, those
 * that are being written below `incomplete`, a mark for each that is waited for below `queue`.
 */
export interface CacheDirectory {
  readonly path: string;
  readonly incomplete: string;
  /** The path of a whole copy; undefined for a key that cannot be one. */
  copyPath(key: CopyKey): string | undefined;
  list(): Promise<readonly CachedCopy[]>;
  noteHit(key: CopyKey): Promise<void>;
  /** Missing means done. */
  remove(key: CopyKey): Promise<void>;
  /** Removes what is of no use to anybody: marks of copies that are gone, unfinished files last written before `before`. */
  tidy(before: number): Promise<void>;
  queued(): Promise<readonly string[]>;
  enqueue(imageId: string): Promise<void>;
  /** Missing means done. */
  dequeue(imageId: string): Promise<void>;
}

const HITS = '.hits';

/** The directory, which is there already; what belongs below it is made. */
export async function openCacheDirectory(path: string): Promise<CacheDirectory> {
  const incomplete = join(path, 'incomplete');
  const queue = join(path, 'queue');
  for (const each of [incomplete, queue]) await mkdir(each, { recursive: true, mode: 0o700 });
  const copyPath = (key: CopyKey): string | undefined => {
    const name = copyName(key);
    return name === undefined ? undefined : join(path, name);
  };
  return {
    path,
    incomplete,
    copyPath,
    async list() {
      const found = (await readdir(path)).map(async (name) => {
        const key = parseCopyName(name);
        return key === undefined ? undefined : describe(join(path, name), key);
      });
      return (await Promise.all(found)).filter((each) => each !== undefined);
    },
    async noteHit(key) {
      const copy = copyPath(key);
      if (copy !== undefined) await appendFile(`${copy}${HITS}`, '.', { mode: 0o600 });
    },
    async remove(key) {
      const copy = copyPath(key);
      if (copy === undefined) return;
      await rm(copy, { force: true });
      await rm(`${copy}${HITS}`, { force: true });
    },
    async tidy(before) {
      const names = new Set(await readdir(path));
      for (const name of names) {
        const of = name.endsWith(HITS) ? name.slice(0, -HITS.length) : undefined;
        if (of !== undefined && !names.has(of)) await rm(join(path, name), { force: true });
      }
      for (const name of await readdir(incomplete)) {
        const file = join(incomplete, name);
        const written = await stat(file).catch(() => undefined);
        if (written !== undefined && written.mtimeMs <= before) await rm(file, { force: true, recursive: true });
      }
    },
    async queued() {
      const names = (await readdir(queue)).filter(isImageId);
      const times = names.map(async (name) => ({
        name,
        at: (await stat(join(queue, name)).catch(gone))?.mtimeMs ?? 0,
      }));
      return (await Promise.all(times)).toSorted((a, b) => a.at - b.at).map(({ name }) => name);
    },
    async enqueue(imageId) {
      if (isImageId(imageId)) await writeFile(join(queue, imageId), '', { mode: 0o600, flag: 'a' });
    },
    async dequeue(imageId) {
      if (isImageId(imageId)) await rm(join(queue, imageId), { force: true });
    },
  };
}

function gone(): undefined {
  return undefined;
}

async function describe(path: string, key: CopyKey): Promise<CachedCopy | undefined> {
  const copy = await stat(path).catch(gone);
  if (copy?.isFile() !== true) return undefined;
  const hits = await stat(`${path}${HITS}`).catch(gone);
  return {
    ...key,
    sizeBytes: copy.size,
    hits: hits?.size ?? 0,
    lastAccessed: hits?.mtimeMs ?? null,
    lastModified: copy.mtimeMs,
  };
}
