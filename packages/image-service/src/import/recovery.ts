import type { ImageRecord, ImageStatus } from '../catalog/image.ts';
import { IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Failure } from '../flow/failure.ts';
import type { IncomingHold } from '../catalog/repositories.ts';
import { CatalogError } from '../catalog/errors.ts';
import { changeImage } from '../catalog/repositories.ts';
import { describeFailure, isPassingFailure } from './failure.ts';
import type { DataParts } from './image-data.ts';
import { queueAgain } from './image-data.ts';
import { isComing } from './incoming-holds.ts';
import { removeDeletedBlobs } from './removal.ts';

const INTERRUPTED: Failure = {
  code: 'interrupted',
  message: 'The service ended while the data came; give it again',
};

/** Which images to look at. */
export interface RecoveryScope {
  /** This machine. */
  readonly node: string;
  /** `alone`: no other process is at work on the database, so that nobody is sending. */
  readonly company: 'alone' | 'beside others';
  /** `node`: what was staged on other machines cannot be seen here. */
  readonly staging: 'shared' | 'node';
  readonly now: () => number;
}

/**
 * Brings images to rest whose data was on its way when its process died: nobody is sending any more. Uploads begin anew,
 * data that was staged whole stays, what deleted images have left goes. Alone: before anybody can send data again.
 */
export async function recoverImages(parts: DataParts, scope: RecoveryScope): Promise<void> {
  const saving = await allOf(parts, 'saving');
  const uploading = await allOf(parts, 'uploading');
  // Who sends says so before the image does: of each of these images it is known, if somebody sends.
  const held = await heldElsewhere(parts, scope);
  for (const image of saving) {
    // What has come whole and is being converted goes on.
    if (held.coming.has(image.id) || IMPORT_TASK_PROPERTY in image.properties) continue;
    if (!(await isGivenUp(parts, scope, image))) continue;
    await removeUnnamedBlobs(parts, image);
    await queueAgain(parts, image.id, { from: 'saving', why: INTERRUPTED });
  }
  for (const image of uploading) {
    if (held.coming.has(image.id) || held.elsewhere.has(image.id)) continue;
    const staged = await sizeOfStaged(parts, image.id);
    if (staged === 'nobody knows' || !(await isUnchanged(parts, image))) continue;
    if (staged === undefined) {
      if (!(await isGivenUp(parts, scope, image))) continue;
      await queueAgain(parts, image.id, { from: 'uploading', why: INTERRUPTED });
    } else {
      // It is there only when it is whole; the record may have missed that.
      await changeImage(parts.catalog.images, image.id, ({ size }) => (size === null ? { size: staged } : undefined));
    }
  }
  await parts.uploads.keepOnly((imageIds) => awaited(parts, scope, imageIds));
  await forgetRested(parts);
  for (const image of await allOf(parts, 'deleted')) {
    if (image.locations.length > 0) await removeDeletedBlobs(parts, image);
    // Its data was on its way when it was deleted, and may have arrived.
    if ((image.properties[IMPORTING_STORES_PROPERTY] ?? '') === '') continue;
    await removeUnnamedBlobs(parts, image);
    await queueAgain(parts, image.id, { from: 'saving', why: INTERRUPTED });
  }
}

/** A server of staged data that does not answer now keeps nobody from starting. */
async function sizeOfStaged({ uploads, log }: DataParts, id: string): Promise<number | undefined | 'nobody knows'> {
  return uploads.sizeOf(id).catch((error: unknown) => {
    if (!isPassingFailure(error)) throw error;
    log(`image ${id}: whether its data was staged cannot be told now: ${describeFailure(error).message}`);
    return 'nobody knows' as const;
  });
}

/** False when the image got on since it was read: whoever sent to it then was alive. */
async function isUnchanged({ catalog }: DataParts, { id, revision }: ImageRecord): Promise<boolean> {
  return (await catalog.images.get(id)).revision === revision;
}

/**
 * Whoever sent to the image can write nothing to it any more, also when only frozen. False when somebody was alive after all:
 * sends again, or has brought the image on since it was read.
 */
async function isGivenUp(parts: DataParts, scope: RecoveryScope, image: ImageRecord): Promise<boolean> {
  const { incomingHolds, images } = parts.catalog;
  await incomingHolds.giveUp(image.id, scope.now());
  // Somebody who was frozen may have gone on since.
  if ((await heldElsewhere(parts, scope)).coming.has(image.id)) return false;
  try {
    // Who looked at its hold before saves a record that is no longer the current one.
    await images.save(image, {});
    return true;
  } catch (error) {
    if (error instanceof CatalogError && ['conflict', 'not_found'].includes(error.code)) return false;
    throw error;
  }
}

interface HeldImages {
  /** Somebody is sending. */
  readonly coming: ReadonlySet<string>;
  /** It lies on another machine, and is that one's to look at. */
  readonly elsewhere: ReadonlySet<string>;
}

async function heldElsewhere({ catalog }: DataParts, scope: RecoveryScope): Promise<HeldImages> {
  if (scope.company === 'alone') return { coming: new Set(), elsewhere: new Set() };
  const holds = await catalog.incomingHolds.list();
  return {
    coming: idsOf(holds.filter((hold) => isComing(hold, scope.now()))),
    elsewhere: idsOf(holds.filter(({ node }) => scope.staging === 'node' && node !== scope.node)),
  };
}

function idsOf(holds: readonly IncomingHold[]): ReadonlySet<string> {
  return new Set(holds.map(({ imageId }) => imageId));
}

/** Those of the images whose staged data somebody will come back for. */
async function awaited(
  parts: DataParts,
  scope: RecoveryScope,
  imageIds: readonly string[],
): Promise<readonly string[]> {
  const { coming } = await heldElsewhere(parts, scope);
  const found = await Promise.all(imageIds.map((id) => imageIfAny(parts, id)));
  const kept = found.filter(
    (image) => image !== undefined && (image.status === 'uploading' || IMPORT_TASK_PROPERTY in image.properties),
  );
  return [...coming, ...kept.map((image) => image?.id ?? '')];
}

/** Undefined when there is no such image; a database that gives no answer is no reason to remove anything. */
async function imageIfAny({ catalog }: DataParts, id: string): Promise<ImageRecord | undefined> {
  try {
    return await catalog.images.get(id);
  } catch (error) {
    if (error instanceof CatalogError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** What was said of data that no image waits for any more is of no use. */
async function forgetRested(parts: DataParts): Promise<void> {
  const { catalog } = parts;
  for (const { id, imageId, expiresAt } of await catalog.incomingHolds.list()) {
    if (expiresAt !== null) continue;
    const image = await imageIfAny(parts, imageId);
    const waits = image !== undefined && (image.status === 'uploading' || IMPORT_TASK_PROPERTY in image.properties);
    if (!waits) await catalog.incomingHolds.release(id);
  }
}

/** Removes what lies in stores for an image, whole or not, and is not named by its record. */
async function removeUnnamedBlobs({ stores }: DataParts, { id, locations }: ImageRecord): Promise<void> {
  for (const store of stores.values()) {
    if (store.readOnly) continue;
    await store.discardUnfinished(id);
    const here = locations.filter((place) => place.store === store.id);
    const named = new Set(here.map(({ location }) => location));
    for (const location of await store.blobsOf(id)) if (!named.has(location)) await store.delete(location);
  }
}

async function allOf({ catalog }: DataParts, status: ImageStatus): ReturnType<DataParts['catalog']['images']['list']> {
  const found = [];
  for (let afterId: string | undefined; ;) {
    const page = await catalog.images.list({ status, ...(afterId === undefined ? {} : { afterId }) });
    found.push(...page);
    afterId = page.at(-1)?.id;
    if (afterId === undefined) return found;
  }
}
