import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { copyBytes } from './copy.ts';
import { stagingFault } from './errors.ts';
import { pathInside } from './scratch.ts';
import type { Staging } from './staging.ts';

const ATTEMPT = /^attempt-(\d+)$/;

/**
 * The staging for the taking of that number: its files lie apart from those of earlier takings, whose holders may still be
 * writing. Files are named by their jobs as ever, and lie in a directory of the taking; the paths that earlier takings have
 * given stay good until the job's directory is removed. `takeOver` copies, because whoever made it may wake up and write on.
 */
export function attemptStaging(staging: Staging, attempt: number): Staging {
  return {
    ...staging,
    async pathOf(jobId, fileName) {
      const directory = pathInside(await staging.directory(jobId), `attempt-${attempt}`);
      await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
        throw stagingFault('The work directory cannot be used', error);
      });
      return pathInside(directory, fileName);
    },
    async adopt(from, to) {
      // It was moved whole, by one rename, and nobody writes to it.
      const earlier = await earlierPath(to, attempt);
      if (earlier !== undefined) await rename(earlier, to);
      return staging.adopt(from, to);
    },
    async takeOver(path, work) {
      const earlier = await earlierPath(path, attempt);
      if (earlier === undefined) return;
      try {
        for (const name of await filesInOrder(earlier)) {
          const to = join(path, name);
          await mkdir(dirname(to), { recursive: true, mode: 0o700 });
          await copyBytes({ from: join(earlier, name), to, ...work });
        }
        await rm(earlier, { recursive: true, force: true });
      } catch {
        // The work begins anew, which is slower and as good.
        await staging.discard(path);
      }
    },
  };
}

/** The same name in the last earlier attempt that has it. */
async function earlierPath(path: string, attempt: number): Promise<string | undefined> {
  const job = dirname(dirname(path));
  const attempts = (await readdir(job)).flatMap((name) => {
    const number = Number(ATTEMPT.exec(name)?.[1] ?? attempt);
    return number < attempt ? [number] : [];
  });
  for (const number of attempts.sort((first, second) => second - first)) {
    const candidate = join(job, `attempt-${number}`, basename(path));
    if ((await stat(candidate).catch(() => undefined)) !== undefined) return candidate;
  }
  return undefined;
}

/** Every file below the directory. What says how far the work is comes first: what is copied after it is at least as far. */
async function filesInOrder(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const names = files.map((entry) => relative(directory, join(entry.parentPath, entry.name))).sort();
  return [...names.filter((name) => name.endsWith('.json')), ...names.filter((name) => !name.endsWith('.json'))];
}
