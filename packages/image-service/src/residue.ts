import type { ImageRecord } from './catalog/image.ts';
import { FAILED_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from './catalog/image.ts';
import { FINAL_STATES } from './flow/job.ts';
import type { Journal } from './flow/journal.ts';
import { describeFailure } from './import/failure.ts';
import type { ImportParts } from './import/stage-context.ts';
import type { ImageStore } from './store/store.ts';

/** Whether other processes may be at work on the same database at the same time. */
export type Company = 'alone' | 'beside others';

/** Beside others, what was begun so recently is left alone: their clocks are not ours. */
const CLOCK_MARGIN_MS = 5 * 60_000;

/**
 * Removes what nobody will come back for: scratch of ended or unknown jobs, cut-off files in stores, blobs of imports
 * that failed, expired tasks. What somebody works on stays: it is looked at first, and judged by what the records say
 * after that. What cannot be removed is logged and left to the next time.
 */
export async function clearResidue<T>(parts: ImportParts<T>, journal: Journal<T>, company: Company): Promise<void> {
  const { staging, stores, catalog, log, now } = parts;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => log(`residue could not be removed: ${describeFailure(error).message}`));
  };
  await attempt(async () => {
    const residue = await staging.keepOnly((ids) => unfinishedOf(journal, ids));
    for (const name of residue) log(`removed the scratch directory of the ended task ${name}`);
  });
  const since = now() - CLOCK_MARGIN_MS;
  const images = await imagesAtWork(parts, journal);
  const queued = await catalog.images.list({ status: 'queued' });
  const failed = queued.filter((image) => image.properties[FAILED_STORES_PROPERTY] !== undefined);
  for (const store of stores.values()) {
    if (store.readOnly) continue;
    await attempt(() => store.clearLeftovers({ images, ...(company === 'alone' ? {} : { since }) }));
    for (const image of failed) await attempt(() => removeBlobs(parts, store, image));
  }
  await journal.forget(await catalog.tasks.removeExpired(now()));
}

async function unfinishedOf<T>(journal: Journal<T>, ids: readonly string[]): Promise<readonly string[]> {
  const jobs = await journal.glimpse(ids);
  return jobs.filter((job) => !FINAL_STATES.includes(job.state)).map((job) => job.id);
}

/** Images that are being filled, by a task or straight into a store. */
async function imagesAtWork<T>({ catalog }: ImportParts<T>, journal: Journal<T>): Promise<readonly string[]> {
  const saving = await catalog.images.list({ status: 'saving' });
  const ids = await journal.unfinished();
  const ofTasks = await Promise.all(ids.map(async (id) => (await catalog.tasks.get(id)).imageId ?? ''));
  return [...saving.map((image) => image.id), ...ofTasks];
}

async function removeBlobs<T>({ catalog }: ImportParts<T>, store: ImageStore, seen: ImageRecord): Promise<void> {
  const locations = await store.blobsOf(seen.id);
  if (locations.length === 0) return;
  const image = await catalog.images.get(seen.id);
  // Another import may have begun since.
  if (image.status !== 'queued' || IMPORT_TASK_PROPERTY in image.properties) return;
  const kept = new Set(image.locations.map((place) => `${place.store} ${place.location}`));
  for (const location of locations) if (!kept.has(`${store.id} ${location}`)) await store.delete(location);
}
