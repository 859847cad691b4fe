import type { BlobHoldRepo, BlobRemovalRepo, OrphanedBlob } from '../catalog/repositories.ts';
import type { ImageStore } from '../store/store.ts';
import { describeFailure } from './failure.ts';
import type { HeldBlobs } from './held-blobs.ts';

/** What removing needs. */
export interface OrphanParts {
  readonly blobRemovals: BlobRemovalRepo;
  readonly holds: BlobHoldRepo;
  readonly held: HeldBlobs;
  readonly stores: ReadonlyMap<string, ImageStore>;
  /** Milliseconds for which bytes stay after an image has given them up, so that others can say that they are reading them. */
  readonly graceMs: number;
  readonly now: () => number;
  readonly log: (message: string) => void;
}

/** How often is looked for what can be removed. */
const INTERVAL_MS = 5000;
/** Removes what images have given up and nobody reads any more; what cannot be removed now stays written down. */
export async function removeOrphans(parts: OrphanParts): Promise<void> {
  const { blobRemovals, holds, now, graceMs } = parts;
  const orphans = await blobRemovals.list({ until: now() - graceMs });
  for (const orphan of orphans) await removeOrphan(parts, orphan);
  if (orphans.length > 0) await holds.forgetExpired(now());
}

async function removeOrphan({ blobRemovals, held, stores, log }: OrphanParts, orphan: OrphanedBlob): Promise<void> {
  if (await held.isHeld(orphan)) return;
  try {
    const store = stores.get(orphan.store);
    // A store that is no longer configured may come back.
    if (store === undefined) return;
    if (!store.readOnly) await store.delete(orphan.location);
    await blobRemovals.done(orphan);
  } catch (error) {
    const { message } = describeFailure(error);
    log(`image ${orphan.imageId}: replaced data could not be removed from store ${orphan.store}: ${message}`);
  }
}

/** Looks again and again, from now until the returned function is called, which waits for what is under way. */
export function orphanRemoval(parts: OrphanParts): () => Promise<void> {
  let running: Promise<void> | undefined;
  const look = (): void => {
    running ??= removeOrphans(parts)
      .catch((error: unknown) => parts.log(`replaced data could not be looked for: ${String(error)}`))
      .finally(() => (running = undefined));
  };
  look();
  const timer = setInterval(look, Math.min(INTERVAL_MS, Math.max(parts.graceMs, 100))).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
