import { StagingError } from '../../staging/errors.ts';
import { comingPath, receiveResumed } from '../../staging/resumed-file.ts';
import { blobEpoch } from '../../store/blob-name.ts';
import type { S3Store } from '../../store/s3/s3-store.ts';
import { StoreError } from '../../store/store.ts';
import { storedSource } from '../stored-source.ts';
import type { StagedData } from './staged-data.ts';

/**
 * Staged data as objects on an S3 server, which every machine reaches. They stay until the import has ended, so that it can
 * begin anew on another machine. `store` is a folder of nothing else. What the server does not remove is logged, and found
 * by the next `keepOnly`.
 */
export function stagedObjects(store: S3Store, log: (message: string) => void): StagedData {
  /** That of the highest epoch: what an earlier sender brings, who was given up and woke up, is not wanted. */
  const locationOf = async (imageId: string): Promise<string | undefined> =>
    (await store.blobsOf(imageId)).toSorted((a, b) => blobEpoch(b) - blobEpoch(a))[0];
  const removeUpTo = async (imageId: string, epoch: number): Promise<void> => {
    for (const location of await store.blobsOf(imageId)) {
      if (blobEpoch(location) <= epoch) await store.delete(location);
    }
  };
  const tryTo = async (remove: () => Promise<void>): Promise<void> => {
    await remove().catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
      log(`staged data could not be removed now: ${error.message}`);
    });
  };
  return {
    addressOf: async (imageId) => `${store.id}:${imageId}`,
    async keep(owner, content) {
      await removeUpTo(owner.imageId, owner.epoch);
      await store.discardUnfinished(owner.imageId);
      const { sizeBytes } = await store.put(owner, content);
      return { sizeBytes };
    },
    async sizeOf(imageId) {
      const location = await locationOf(imageId);
      return location === undefined ? undefined : (await store.stat(location)).sizeBytes;
    },
    async open(imageId) {
      const location = await locationOf(imageId);
      return location === undefined ? undefined : storedSource(store, location, (await store.stat(location)).sizeBytes);
    },
    async bring(imageId, { owner, to, maxBytes, signal, onBytes }, staging) {
      const location = await locationOf(imageId);
      if (location === undefined) throw new StagingError('bad_source', 'The staged data is no longer there');
      const { sizeBytes, version } = await store.versionOf(location);
      if (sizeBytes > maxBytes) throw new StagingError('too_large', `At most ${maxBytes} bytes are accepted`);
      await staging.takeOver(comingPath(to), { signal, onBytes });
      const source = {
        identity: `${location} ${version}`,
        sizeBytes,
        from: (offset: number) => store.read(location, { offset, length: sizeBytes - offset, version }, signal),
      };
      return receiveResumed(to, source, { expect: (bytes) => staging.reserve(owner, bytes, { signal }), onBytes });
    },
    remove: (imageId, upTo = Infinity) =>
      tryTo(async () => {
        await removeUpTo(imageId, upTo);
        if (upTo === Infinity) await store.discardUnfinished(imageId);
      }),
    keepOnly: (choose) =>
      tryTo(async () => {
        const found = await store.entries();
        if (found.length === 0) return;
        const kept = await choose([...new Set(found.map(({ imageId }) => imageId))]);
        for (const entry of found) if (!kept.includes(entry.imageId)) await store.removeEntry(entry);
      }),
    checkReady: () => store.checkReady(),
  };
}
