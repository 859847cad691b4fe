import { stat } from 'node:fs/promises';

/** What the states of flows call files in the scratch directory of their job. */
const FILE_KEYS: ReadonlySet<string> = new Set(['file_path', 'source_path', 'image_path']);

/** Is every file still there that the stages of a job have named? Work directories may be of one machine, and may be lost. */
export async function scratchRemains(state: unknown): Promise<boolean> {
  const there = await Promise.all(Array.from(new Set(filesOf(state)), isThere));
  return !there.includes(false);
}

function filesOf(state: unknown): readonly string[] {
  if (typeof state !== 'object' || state === null) return [];
  return Object.entries(state).flatMap(([key, value]) => {
    if (!FILE_KEYS.has(key)) return filesOf(value);
    // A copy of other forms alone has no source.
    return typeof value === 'string' && value !== '' ? [value] : [];
  });
}

/** Throws what else the operating system has to say: a disk that does not answer has not lost anything. */
async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw error;
    },
  );
}
