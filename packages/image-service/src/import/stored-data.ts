import type { ImageForm, ImageLocation, ImageRecord } from '../catalog/image.ts';
import { formAt } from '../catalog/image.ts';
import type { BlobRange, ImageStore } from '../store/store.ts';
import { StoreError } from '../store/store.ts';

/** The stored bytes of an image. */
export interface StoredData {
  readonly sizeBytes: number;
  read(range?: BlobRange): AsyncIterable<Uint8Array>;
}

/** Those bytes, with where they lie and what they are. */
export interface StoredPlace extends StoredData {
  readonly store: ImageStore;
  readonly location: string;
  readonly form: ImageForm;
}

/** Where the image lies in this disk format; when none is named: as its record describes it. */
export function placesOf(image: ImageRecord, diskFormat?: string): readonly ImageLocation[] {
  const { locations } = image;
  if (diskFormat === undefined) return locations.filter(({ form }) => form === undefined);
  return locations.filter((place) => formAt(image, place).diskFormat === diskFormat);
}

/**
 * The data of an image, as its record describes it or in another disk format that some store has, from the store with the
 * highest weight that has it, those of `prefer` first and in that order. Undefined when it was never given any, and when no store has that format. Throws the last
 * store's error when none gives it.
 */
export async function openStoredPlace(
  stores: ReadonlyMap<string, ImageStore>,
  image: ImageRecord,
  diskFormat?: string,
  prefer: readonly string[] = [],
): Promise<StoredPlace | undefined> {
  let failure: unknown;
  const places = placesOf(image, diskFormat);
  const weight = ({ store }: ImageLocation): number => stores.get(store)?.weight ?? 0;
  const rank = ({ store }: ImageLocation): number => (prefer.includes(store) ? prefer.indexOf(store) : prefer.length);
  for (const place of places.toSorted((a, b) => rank(a) - rank(b) || weight(b) - weight(a))) {
    const store = stores.get(place.store);
    if (store === undefined) continue;
    try {
      const { sizeBytes } = await store.stat(place.location);
      const { location } = place;
      return { store, location, sizeBytes, form: formAt(image, place), read: (range) => store.read(location, range) };
    } catch (error) {
      failure = error;
    }
  }
  if (places.length === 0) return undefined;
  throw failure ?? new StoreError('missing', 'No store of this service has the data of the image');
}
