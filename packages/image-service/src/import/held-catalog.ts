import type { Catalog } from '../catalog/repositories.ts';
import type { FlowFactory, HeldJob } from '../flow/step.ts';
import { attemptStaging } from '../staging/attempt-staging.ts';
import { blobEpoch } from '../store/blob-name.ts';
import type { ImageStore } from '../store/store.ts';
import type { ImportParts } from './stage-context.ts';

/** Whether an earlier holder of a job may still be writing to its files: not where one process runs all. */
export type EarlierHolders = 'gone' | 'may wake up';

/**
 * The flow over a catalogue that refuses every write of a process that has lost the job: one that froze, was taken for
 * dead, and woke up. Where that may happen, each holder also has scratch files of its own. `make` is a flow over all parts.
 */
export function heldFlow<T>(
  parts: ImportParts<T>,
  earlier: EarlierHolders,
  make: (parts: ImportParts<T>) => FlowFactory,
): FlowFactory {
  return (job) => {
    const held = { ...parts, catalog: heldCatalog(parts.catalog, job) };
    return make(earlier === 'gone' ? held : { ...held, ...ownScratch(parts, job), stores: heldStores(held, job) })(job);
  };
}

/** Scratch files of this holder alone; a conversion goes on from a copy of what the holder before has left. */
function ownScratch<T>({ staging, tools }: ImportParts<T>, job: HeldJob): Pick<ImportParts<T>, 'staging' | 'tools'> {
  const own = attemptStaging(staging, job.epoch);
  return {
    staging: own,
    tools: {
      ...tools,
      async convert(conversion, work) {
        await own.takeOver(work.checkpointDir, work);
        return tools.convert(conversion, work);
      },
    },
  };
}

/**
 * The stores without what later holders have put there: nobody removes what comes after them, whenever they wake up. The
 * numbers of attempts grow with each holder, and with each task of an image (`attempt_base`).
 */
function heldStores<T>({ stores, catalog }: ImportParts<T>, job: HeldJob): ImportParts<T>['stores'] {
  const own = Number(job.input['attempt_base'] ?? 0) + job.epoch;
  const isEarlier = (location: string): boolean => blobEpoch(location) <= own;
  const heldStore = (store: ImageStore): ImageStore => ({
    ...store,
    blobsOf: async (imageId) => (await store.blobsOf(imageId)).filter(isEarlier),
    async discardUnfinished(imageId) {
      // What is unfinished may be the next holder's.
      await catalog.transaction(async () => {});
      await store.discardUnfinished(imageId);
    },
  });
  return new Map(Array.from(stores, ([id, store]) => [id, heldStore(store)]));
}

/** The catalogue, every write of which is in one transaction with a look at whose the job is. */
function heldCatalog<T>(catalog: Catalog<T>, job: HeldJob): Catalog<T> {
  const transaction: Catalog<T>['transaction'] = (work) =>
    catalog.transaction(async (inside) => {
      await job.hold(inside.transaction);
      return work(inside);
    });
  return {
    ...catalog,
    transaction,
    images: {
      ...catalog.images,
      insert: (image) => transaction(({ images }) => images.insert(image)),
      save: (image, changes) => transaction(({ images }) => images.save(image, changes)),
    },
    tasks: {
      ...catalog.tasks,
      insert: (task) => transaction(({ tasks }) => tasks.insert(task)),
      save: (task, changes) => transaction(({ tasks }) => tasks.save(task, changes)),
    },
  };
}
