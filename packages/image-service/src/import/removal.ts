import { CatalogError } from '../catalog/errors.ts';
import type { ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Catalog } from '../catalog/repositories.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { ImageStore } from '../store/store.ts';
import { describeFailure } from './failure.ts';

/** What the end of an image needs. */
export interface RemovalParts {
  readonly catalog: Catalog;
  readonly stores: ReadonlyMap<string, ImageStore>;
  /** Removes bytes that wait for an import. */
  readonly discardStaged: (imageId: string) => Promise<void>;
  /** Ends the import that is filling the image. */
  readonly cancelTask: (taskId: string) => Promise<void>;
  readonly log: (message: string) => void;
}

/**
 * Ends an image: its record says `deleted` first, then its bytes go. What cannot be removed now stays among the record's
 * locations and is removed at the next start. Throws `not_found`, `forbidden_change`.
 */
export async function removeImage(parts: RemovalParts, imageId: string): Promise<void> {
  const before = await parts.catalog.images.get(imageId);
  const image = await changeImage(parts.catalog.images, imageId, (current) =>
    current.status === 'deleted' ? undefined : { status: 'deleted', tags: [] },
  );
  const task = before.properties[IMPORT_TASK_PROPERTY];
  if (task !== undefined) await parts.cancelTask(task);
  await parts.discardStaged(imageId);
  await removeDeletedBlobs(parts, image);
}

/** Removes the bytes that a deleted image still has. */
export async function removeDeletedBlobs(
  { catalog, stores, log }: Pick<RemovalParts, 'catalog' | 'stores' | 'log'>,
  image: ImageRecord,
): Promise<void> {
  for (const place of image.locations) {
    try {
      const store = stores.get(place.store);
      if (store?.readOnly === false) await store.delete(place.location);
    } catch (error) {
      log(
        `image ${image.id}: its data could not be removed from store ${place.store}: ${describeFailure(error).message}`,
      );
      continue;
    }
    await changeImage(catalog.images, image.id, ({ locations }) => ({
      locations: locations.filter((each) => each.store !== place.store || each.location !== place.location),
    })).catch((error: unknown) => {
      if (!(error instanceof CatalogError)) throw error;
    });
  }
}
