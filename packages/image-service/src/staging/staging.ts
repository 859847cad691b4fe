import { rm, stat } from 'node:fs/promises';
import type { FileCopy } from './copy.ts';
import { copyBytes } from './copy.ts';
import { stagingFault } from './errors.ts';
import type { Digests, HashName, HashWork } from './hash.ts';
import { hashFile } from './hash.ts';
import type { ScratchSpace } from './scratch.ts';
import { checkedId, pathInside, scratchSpace } from './scratch.ts';
import type { SpaceLedger } from './space.ts';
import { spaceLedger } from './space.ts';

/** Everything that is done with bytes before they are an image in a store. */
export interface Staging extends ScratchSpace, SpaceLedger {
  /** The path of a file of the job, whether it is there or not; its directory is. Throws `bad_id`. */
  pathOf(jobId: string, fileName: string): Promise<string>;
  /** Copies a file in, flushed, its space promised to `owner` beforehand; see `copyBytes` and `SpaceLedger`. */
  bringIn(owner: string, copy: FileCopy): Promise<{ readonly sizeBytes: number }>;
  hash<Names extends HashName>(path: string, names: readonly Names[], work?: HashWork): Promise<Digests<Names>>;
  /** Removes a file or directory; missing means done. */
  discard(path: string): Promise<void>;
}

/** Staging in `workDir`, in a directory of its own that bears the installation's id. */
export function openStaging(options: {
  readonly workDir: string;
  readonly instanceId: string;
  readonly marginBytes: number;
}): Staging {
  const scratch = scratchSpace(options.workDir, options.instanceId);
  const space = spaceLedger(options.workDir, options.marginBytes);
  return {
    ...scratch,
    ...space,
    pathOf: async (jobId, fileName) => pathInside(await scratch.directory(checkedId(jobId)), fileName),
    async bringIn(owner, copy) {
      const source = await stat(copy.from).catch((error: unknown) => {
        throw stagingFault('The source cannot be read', error);
      });
      if (source.size <= (copy.maxBytes ?? source.size)) await space.reserve(owner, source.size);
      return copyBytes(copy);
    },
    hash: hashFile,
    async discard(path) {
      try {
        await rm(path, { recursive: true, force: true });
      } catch (error) {
        throw stagingFault('A scratch file cannot be removed', error);
      }
    },
  };
}
