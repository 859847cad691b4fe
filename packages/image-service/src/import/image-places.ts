import { CatalogError } from '../catalog/errors.ts';
import type { ImageChanges, ImageLocation, ImageRecord, LocationMetadata } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { BlobPlace, CatalogInTransaction, OrphanedBlob } from '../catalog/repositories.ts';
import { StagingError } from '../staging/errors.ts';
import type { ImageStore } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { ImportError } from './errors.ts';
import type { DataParts } from './image-data.ts';
import { inspectStored } from './image-data.ts';
import { storedSource } from './stored-source.ts';

/** A place that a caller names. */
export interface WantedPlace {
  readonly url: string;
  /** What the caller notes about it; `store` chooses among stores that take the same URL. */
  readonly metadata: LocationMetadata;
}

/** A place that was found to hold what the image is described as. */
export interface FoundPlace {
  readonly place: ImageLocation;
  readonly sizeBytes: number;
  /** Bytes of the guest's disk; null where the content is no disk. */
  readonly virtualSize: number | null;
}

/** A place of an image, with a URL of it. */
export interface AddressedPlace {
  readonly place: ImageLocation;
  readonly url: string;
}

/** What changing the places of images needs. */
export type PlaceParts = Pick<DataParts, 'catalog' | 'stores' | 'tools' | 'settings' | 'log'>;

/** Characters of what callers may note about one place. */
const MAX_METADATA_LENGTH = 4096;
/** Writers that come in between are few; more than this many in a row is a fault. */
const MAX_CONFLICTS = 20;

/** The places of an image with their URLs, in order; those in stores that are no longer configured are left out. */
export async function addressedPlaces(
  stores: ReadonlyMap<string, ImageStore>,
  image: ImageRecord,
): Promise<readonly AddressedPlace[]> {
  const found = image.locations.map(async (place) => {
    const url = await stores.get(place.store)?.addressOf(place.location);
    return url === undefined ? [] : [{ place, url }];
  });
  return (await Promise.all(found)).flat();
}

/**
 * Looks at what the caller's URL names: it must lie in a store that takes the URL for this image, be what the image is
 * described as, and be safe. Throws `invalid_value`, `too_large`, `unavailable`, and what the inspection refuses.
 */
export async function findPlace(parts: PlaceParts, image: ImageRecord, wanted: WantedPlace): Promise<FoundPlace> {
  const { diskFormat, containerFormat, size } = image;
  if (diskFormat === null || containerFormat === null) {
    throw new ImportError('invalid_value', 'disk_format and container_format must be set before the image has data');
  }
  const { store, location } = placeAt(parts.stores, image.id, wanted);
  const sizeBytes = await sizeAt(store, location);
  if (sizeBytes > parts.settings.maxImageSize) {
    throw new StagingError('too_large', `At most ${parts.settings.maxImageSize} bytes are accepted`);
  }
  if (image.status !== 'queued' && size !== null && size !== sizeBytes) {
    throw new ImportError('invalid_value', `There are ${sizeBytes} bytes at that location, but the image has ${size}`);
  }
  const virtualSize = await inspectStored(parts, image, storedSource(store, location, sizeBytes));
  const { store: _store, ...noted } = wanted.metadata;
  const metadata = Object.keys(noted).length === 0 ? {} : { metadata: noted };
  return { place: { store: store.id, location, ...metadata }, sizeBytes, virtualSize };
}

function placeAt(
  stores: ReadonlyMap<string, ImageStore>,
  imageId: string,
  { url, metadata }: WantedPlace,
): { readonly store: ImageStore; readonly location: string } {
  if (JSON.stringify(metadata).length > MAX_METADATA_LENGTH) {
    throw new ImportError('invalid_value', `The metadata of a location has at most ${MAX_METADATA_LENGTH} characters`);
  }
  const named = metadata['store'];
  if (named !== undefined && (typeof named !== 'string' || !stores.has(named))) {
    throw new ImportError('invalid_value', 'The metadata of the location names a store that is not there');
  }
  for (const store of stores.values()) {
    if (named !== undefined && store.id !== named) continue;
    const location = store.locationAt(url, imageId);
    if (location !== undefined) return { store, location };
  }
  throw new ImportError('invalid_value', 'Invalid location: no store of this service takes it for this image');
}

async function sizeAt(store: ImageStore, location: string): Promise<number> {
  try {
    return (await store.stat(location)).sizeBytes;
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'unavailable') throw error;
    throw new ImportError('invalid_value', `The location cannot be used: ${error.message}`);
  }
}

/**
 * Changes an image and its places: what it no longer names is written down in the same transaction, and removed when nobody
 * reads it any more. `change` is asked again when somebody else saved in between. Throws `conflict` for a place that is
 * being removed.
 */
export async function changePlaces(
  { catalog }: Pick<PlaceParts, 'catalog'>,
  imageId: string,
  change: (image: ImageRecord) => ImageChanges,
): Promise<ImageRecord> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      return await catalog.transaction(async (inside) => {
        const before = await inside.images.get(imageId);
        return savePlaces(inside, before, change(before));
      });
    } catch (error) {
      if (!(error instanceof CatalogError && error.code === 'conflict') || conflicts >= MAX_CONFLICTS) throw error;
    }
  }
}

/** Saves the image; what it no longer names is written down to be removed. Throws `conflict` for a place that is being removed. */
export async function savePlaces(
  { images, blobRemovals }: Pick<CatalogInTransaction<unknown>, 'images' | 'blobRemovals'>,
  before: ImageRecord,
  changes: ImageChanges,
): Promise<ImageRecord> {
  const image = await images.save(before, changes);
  for (const { store, location } of without(before.locations, image.locations)) {
    await blobRemovals.add({ imageId: image.id, store, location });
  }
  const added = without(image.locations, before.locations);
  if (added.length > 0) refuseLeaving(added, await blobRemovals.list());
  return image;
}

/** The places that are not among the others. */
function without(places: readonly ImageLocation[], others: readonly BlobPlace[]): readonly ImageLocation[] {
  const keys = new Set(others.map(({ store, location }) => `${store} ${location}`));
  return places.filter(({ store, location }) => !keys.has(`${store} ${location}`));
}

function refuseLeaving(added: readonly ImageLocation[], leaving: readonly OrphanedBlob[]): void {
  if (without(added, leaving).length === added.length) return;
  throw new ImportError('conflict', 'What lies at that location is being removed');
}

/**
 * Takes the image out of one store. Throws `not_found` when it is not there, `last_location` when no other store has it
 * as its record describes it, `conflict` unless it is active and nothing is at work on it.
 */
export function removeFromStore(
  parts: Pick<PlaceParts, 'catalog'>,
  imageId: string,
  storeId: string,
): Promise<ImageRecord> {
  return changePlaces(parts, imageId, (image) => {
    const locations = image.locations.filter(({ store }) => store !== storeId);
    if (locations.length === image.locations.length) {
      throw new CatalogError('not_found', `Image ${image.id} is not in store "${storeId}"`);
    }
    refuseUnlessIdle(image);
    if (locations.every(({ form }) => form !== undefined)) {
      throw new ImportError('last_location', `Store "${storeId}" is the last one that has image ${image.id}`);
    }
    return { locations };
  });
}

function refuseUnlessIdle({ id, status, properties }: ImageRecord): void {
  if (status !== 'active') throw new ImportError('conflict', `Image ${id} is ${status}; it must be active`);
  const task = properties[IMPORT_TASK_PROPERTY];
  if (task !== undefined) throw new ImportError('conflict', `Task ${task} is at work on image ${id}`);
}
