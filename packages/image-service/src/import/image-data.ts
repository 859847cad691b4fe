import type { ImageRecord } from '../catalog/image.ts';
import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { Failure } from '../flow/failure.ts';
import { gatheredBytes } from '../staging/gathered.ts';
import type { IncomingLimits } from '../staging/incoming.ts';
import { limitedBytes } from '../staging/incoming.ts';
import type { ImageStore } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { IMPORT_ERROR_PROPERTY, reasonOf } from './conclude.ts';
import { ImportError } from './errors.ts';
import type { StillHeld } from './incoming-holds.ts';
import { heldBytes, lossOf } from './incoming-holds.ts';
import { describeFailure } from './failure.ts';
import { judge } from './inspect.ts';
import { reservedBytes } from './reserved-bytes.ts';
import type { ImportParts } from './stage-context.ts';
import { storedSource } from './stored-source.ts';

/** What bringing data in needs. */
export type DataParts = Pick<ImportParts, 'catalog' | 'staging' | 'stores' | 'tools' | 'settings' | 'uploads' | 'log'>;

/** The data of an image as somebody sends it. */
export interface IncomingData {
  readonly imageId: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly limits: IncomingLimits;
  /** The store to put it into; the default store when absent. Ignored for staging. */
  readonly store?: string;
  /** Asked before the data becomes the image's; always when absent. */
  readonly stillHeld?: StillHeld;
}

/** Containers whose content is no disk image itself. */
export const WRAPPING_CONTAINERS: ReadonlySet<string> = new Set(['ova', 'docker', 'compressed']);

/**
 * Puts data straight into a store: the image is `saving`, then `active`, or `queued` again when it fails, with nothing
 * left. Throws `conflict`, `invalid_value`, `gone` when the image was deleted in between, and what the stages throw.
 */
export async function uploadData(parts: DataParts, data: IncomingData): Promise<ImageRecord> {
  const store = writableStore(parts, data.store);
  const image = await changeImage(parts.catalog.images, data.imageId, (current) => {
    refuseUnlessQueued(current);
    refuseUnlessDescribed(current);
    return { status: 'saving', properties: { ...current.properties, [IMPORTING_STORES_PROPERTY]: store.id } };
  });
  const placed: { location?: string } = {};
  try {
    return await fill(parts, { image, store, data, placed });
  } catch (error) {
    return takeBack(parts, { image, store, data, placed }, error);
  }
}

interface Filling {
  readonly image: ImageRecord;
  readonly store: ImageStore;
  readonly data: IncomingData;
  readonly placed: { location?: string };
}

async function fill(parts: DataParts, { image, store, data, placed }: Filling): Promise<ImageRecord> {
  const reserved = { imageId: image.id, kind: 'storedBytes', ...announced(data.limits) } as const;
  const incoming = reservedBytes(parts.catalog, comingBytes(data), reserved);
  const hashed = parts.staging.hashed(incoming, ['md5', 'sha512']);
  const { expectedBytes } = data.limits;
  const { location } = await store.put(
    { imageId: image.id, epoch: image.revision },
    { bytes: hashed.bytes, ...(expectedBytes === undefined ? {} : { sizeBytes: expectedBytes }) },
  );
  placed.location = location;
  const { sizeBytes, digests } = await hashed.result();
  const virtualSize = await inspectStored(parts, image, storedSource(store, location, sizeBytes));
  return changeImage(parts.catalog.images, image.id, async (current) => {
    await data.stillHeld?.();
    if (current.status !== 'saving')
      throw new ImportError('gone', `The image became ${current.status} while its data came`);
    const {
      [FAILED_STORES_PROPERTY]: _failed,
      [IMPORT_ERROR_PROPERTY]: _error,
      [IMPORTING_STORES_PROPERTY]: _waiting,
      ...properties
    } = current.properties;
    return {
      status: 'active',
      size: sizeBytes,
      virtualSize,
      checksum: digests.md5,
      osHashAlgo: 'sha512',
      osHashValue: digests.sha512,
      locations: [{ store: store.id, location }],
      properties,
    };
  });
}

/** As they come, within their limits; see `gatheredBytes` for how long a piece is good. */
function comingBytes({ bytes, limits }: IncomingData): AsyncIterable<Uint8Array> {
  return gatheredBytes(limitedBytes(bytes, limits));
}

/** How many bytes the sender says there are, unless they are too many. */
function announced({ expectedBytes, maxBytes }: IncomingLimits): { readonly expectedBytes?: number } {
  // What is too large is refused as that.
  return expectedBytes === undefined || expectedBytes > maxBytes ? {} : { expectedBytes };
}

/** Gives the size of the guest's disk; null where the content is no disk image. Throws for what may not come in. */
export async function inspectStored(
  { tools, settings, log }: Pick<DataParts, 'tools' | 'settings' | 'log'>,
  image: ImageRecord,
  source: ReturnType<typeof storedSource>,
): Promise<number | null> {
  if (WRAPPING_CONTAINERS.has(image.containerFormat ?? '')) return null;
  const declared = image.diskFormat ?? '';
  const verdict = await tools.inspectSource(source, { declared, maxVirtualSize: settings.maxVirtualSize });
  judge(verdict, {
    declared,
    mismatchAllowed: !settings.requireFormatMatch,
    settings,
    context: { warn: (message) => log(`image ${image.id}: ${message}`) },
  });
  return verdict.virtualSize ?? verdict.fileSize;
}

/** Undoes an upload and throws why; gives the image when it has its data all the same. */
async function takeBack(parts: DataParts, { image, store, data, placed }: Filling, why: unknown): Promise<ImageRecord> {
  const { location } = placed;
  let reason = why;
  try {
    const current = await settledImage(parts, image.id);
    if (current.locations.some((place) => place.store === store.id && place.location === location)) return current;
    if (location !== undefined) await store.delete(location);
    // All else may be of somebody who sends now.
    const loss = await lossOf(data);
    if (loss === undefined) {
      if (location === undefined) await store.discardUnfinished(image.id);
      reason = reasonFor(await queueAgain(parts, image.id, { from: 'saving', why: describeFailure(why) }), why);
    } else {
      reason = loss;
    }
  } catch (error) {
    // The next start finds the image still `saving` and does the same.
    parts.log(`image ${image.id}: what its failed upload left could not be removed: ${String(error)}`);
  }
  throw reason;
}

/**
 * The image as it is for certain: what was to be written to it before, and of which nobody knows whether it was because the
 * database went away, has been written or never will be.
 */
export function settledImage({ catalog }: Pick<DataParts, 'catalog'>, imageId: string): Promise<ImageRecord> {
  return changeImage(catalog.images, imageId, () => ({}));
}

/**
 * Keeps data until it is imported: the image is `uploading`, or `queued` again when it fails. Throws as `uploadData`.
 */
export async function stageData(parts: DataParts, data: IncomingData): Promise<void> {
  const { uploads } = parts;
  const { imageId } = data;
  const { revision: epoch } = await changeImage(parts.catalog.images, imageId, (current) => {
    refuseUnlessQueued(current);
    return { status: 'uploading' };
  });
  try {
    const { sizeBytes } = await keepStaged(parts, data, epoch);
    await changeImage(parts.catalog.images, imageId, async (current) => {
      await data.stillHeld?.();
      if (current.status !== 'uploading') throw new ImportError('gone', `The image became ${current.status} meanwhile`);
      return { size: sizeBytes };
    });
  } catch (error) {
    const loss = await lossOf(data);
    if (loss !== undefined) throw loss;
    await uploads.remove(imageId, epoch);
    throw reasonFor(await queueAgain(parts, imageId, { from: 'uploading', why: describeFailure(error) }), error);
  }
}

/** Brings what comes into the staging area, as far as limits allow it. `epoch`: the image's revision. Throws as `uploadData`. */
export function keepStaged(
  { uploads, catalog }: Pick<DataParts, 'uploads' | 'catalog'>,
  data: IncomingData,
  epoch: number,
): Promise<{ readonly sizeBytes: number }> {
  const { imageId, limits } = data;
  const reserved = { imageId, kind: 'stagedBytes', ...announced(limits) } as const;
  const bytes = heldBytes(reservedBytes(catalog, comingBytes(data), reserved), data.stillHeld);
  const { expectedBytes } = announced(limits);
  return uploads.keep(
    { imageId, epoch },
    { bytes, ...(expectedBytes === undefined ? {} : { sizeBytes: expectedBytes }) },
  );
}

/** An image whose data did not come waits for it again, and says why it does; one in another state stays as it is. */
export async function queueAgain(
  { catalog }: Pick<DataParts, 'catalog'>,
  imageId: string,
  { from, why }: { readonly from: 'saving' | 'uploading'; readonly why: Failure },
): Promise<ImageRecord> {
  return changeImage(catalog.images, imageId, (current) => {
    const { [IMPORTING_STORES_PROPERTY]: waiting, ...properties } = current.properties;
    if (current.status === from) return { status: 'queued', properties: { ...properties, ...reasonOf(why) } };
    // Deleted meanwhile: nothing of it is on its way any more.
    return current.status === 'deleted' && waiting !== undefined ? { properties } : undefined;
  });
}

/** Why data did not come: that the image was deleted explains whatever became of it. */
export function reasonFor({ status }: ImageRecord, error: unknown): unknown {
  return status === 'deleted' ? new ImportError('gone', 'The image was deleted while its data came') : error;
}

/** Throws `conflict` unless data can be given to the image, `gone` when it was deleted. */
export function refuseUnlessQueued(image: ImageRecord): void {
  const { status } = image;
  if (status === 'deleted') throw new ImportError('gone', 'The image was deleted');
  const lock = image.properties[IMPORT_TASK_PROPERTY];
  if (status === 'queued' && lock === undefined) return;
  const why = status === 'queued' ? `is being imported by task ${lock}` : `is ${status}`;
  throw new ImportError('conflict', `Image ${image.id} ${why}; data can only be given to a queued one`);
}

/** Throws `invalid_value` unless it is known what the data will be. */
export function refuseUnlessDescribed({ diskFormat, containerFormat }: ImageRecord): void {
  if (diskFormat !== null && containerFormat !== null) return;
  throw new ImportError('invalid_value', 'disk_format and container_format must be set before data is given');
}

/** The store, or the default one. Throws `invalid_value`, `read_only`. */
export function writableStore(
  { stores, settings }: Pick<DataParts, 'stores' | 'settings'>,
  wanted: string | undefined,
): ImageStore {
  const id = wanted ?? settings.defaultStore;
  const store = stores.get(id);
  if (store === undefined) throw new ImportError('invalid_value', `There is no store "${id}"`);
  if (store.readOnly) throw new StoreError('read_only', `Nothing can be put into store "${id}"`);
  return store;
}
