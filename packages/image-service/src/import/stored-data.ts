import type { ImageLocation, ImageRecord } from '../catalog/image.ts';
import type { BlobRange, ImageStore } from '../store/store.ts';
import { StoreError } from '../store/store.ts';

/** The stored bytes of an image. */
export interface StoredData {
  readonly sizeBytes: number;
  read(range?: BlobRange): AsyncIterable<Uint8Array>;
}

/** Those bytes, with where they lie. */
export interface StoredPlace extends StoredData {
  readonly store: ImageStore;
  readonly location: string;
}

/**
 * The data of an image from the store with the highest weight that has it; undefined when it was never given any. Throws the last
 * store's error when none has it.
 */
export async function openStoredPlace(
  stores: ReadonlyMap<string, ImageStore>,
  image: ImageRecord,
): Promise<StoredPlace | undefined> {
  let failure: unknown;
  const weight = ({ store }: ImageLocation): number => stores.get(store)?.weight ?? 0;
  for (const place of image.locations.toSorted((a, b) => weight(b) - weight(a))) {
    const store = stores.get(place.store);
    if (store === undefined) continue;
    try {
      const { sizeBytes } = await store.stat(place.location);
      const { location } = place;
      return { store, location, sizeBytes, read: (range) => store.read(location, range) };
    } catch (error) {
      failure = error;
    }
  }
  if (image.locations.length === 0) return undefined;
  throw failure ?? new StoreError('missing', 'No store of this service has the data of the image');
}
