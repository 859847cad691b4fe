import { stat } from 'node:fs/promises';
import { openFileSource } from '@diskmorph/disk-image-node';
import { promisedBytes } from '../../staging/space.ts';
import type { Staging } from '../../staging/staging.ts';
import type { StagedData } from './staged-data.ts';

const STAGED_FILE = 'data';

/** Staged data in files, in a directory for each image. Importing moves them. */
export function stagedFiles(staging: Staging): StagedData {
  const pathOf = (imageId: string): Promise<string> => staging.pathOf(imageId, STAGED_FILE);
  const sizeOf = async (imageId: string): Promise<number | undefined> =>
    (await stat(await pathOf(imageId)).catch(() => undefined))?.size;
  return {
    addressOf: pathOf,
    async keep({ imageId }, { bytes, sizeBytes: totalBytes }) {
      try {
        const path = await pathOf(imageId);
        return await staging.receive(path, promisedBytes(staging, { owner: imageId, bytes, totalBytes }));
      } finally {
        await staging.release(imageId);
      }
    },
    sizeOf,
    open: async (imageId) =>
      (await sizeOf(imageId)) === undefined ? undefined : openFileSource(await pathOf(imageId)),
    bring: async (imageId, { to }, job) => job.adopt(await pathOf(imageId), to),
    remove: (imageId) => staging.remove(imageId),
    keepOnly: async (choose) => void (await staging.keepOnly(choose)),
    checkReady: async () => {},
  };
}
