import type { Catalog } from '../catalog/repositories.ts';
import type { FlowFactory, HeldJob } from '../flow/step.ts';
import type { ImportParts } from './stage-context.ts';

/**
 * The flow over a catalogue that refuses every write of a process that has lost the job: one that froze, was taken for
 * dead, and woke up. `make` is a flow over all parts.
 */
export function heldFlow<T>(parts: ImportParts<T>, make: (parts: ImportParts<T>) => FlowFactory): FlowFactory {
  return (job) => make({ ...parts, catalog: heldCatalog(parts.catalog, job) })(job);
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
