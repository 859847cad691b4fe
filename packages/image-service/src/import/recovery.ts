import { stat } from 'node:fs/promises';
import type { ImageRecord, ImageStatus } from '../catalog/image.ts';
import { IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Failure } from '../flow/failure.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { DataParts } from './image-data.ts';
import { queueAgain, stagedPath } from './image-data.ts';
import { removeDeletedBlobs } from './removal.ts';

const INTERRUPTED: Failure = {
  code: 'interrupted',
  message: 'The service ended while the data came; give it again',
};

/**
 * Brings images to rest whose data was on its way when the process died: nobody is sending any more. Uploads begin anew,
 * data that was staged whole stays, what deleted images have left goes. Before anybody can send data again.
 */
export async function recoverImages(parts: DataParts): Promise<void> {
  const saving = await allOf(parts, 'saving');
  // What has come whole and is being converted goes on.
  const converting = saving.filter(({ properties }) => IMPORT_TASK_PROPERTY in properties);
  for (const image of saving) {
    if (converting.includes(image)) continue;
    await removeUnnamedBlobs(parts, image);
    await queueAgain(parts, image.id, { from: 'saving', why: INTERRUPTED });
  }
  const waiting: string[] = [];
  for (const image of await allOf(parts, 'uploading')) {
    const whole = await stat(await stagedPath(parts.uploads, image.id)).catch(() => undefined);
    if (whole === undefined) {
      await queueAgain(parts, image.id, { from: 'uploading', why: INTERRUPTED });
    } else {
      waiting.push(image.id);
      // The file bears its name only when it is whole; the record may have missed that.
      await changeImage(parts.catalog.images, image.id, ({ size }) =>
        size === null ? { size: whole.size } : undefined,
      );
    }
  }
  const importing = (await allOf(parts, 'importing')).filter(({ properties }) => IMPORT_TASK_PROPERTY in properties);
  await parts.uploads.keepOnly(async () => [...waiting, ...[...importing, ...converting].map((image) => image.id)]);
  for (const image of await allOf(parts, 'deleted')) {
    if (image.locations.length > 0) await removeDeletedBlobs(parts, image);
    // Its data was on its way when it was deleted, and may have arrived.
    if ((image.properties[IMPORTING_STORES_PROPERTY] ?? '') === '') continue;
    await removeUnnamedBlobs(parts, image);
    await queueAgain(parts, image.id, { from: 'saving', why: INTERRUPTED });
  }
}

/** Removes what lies in stores for an image and is not named by its record. */
async function removeUnnamedBlobs({ stores }: DataParts, { id, locations }: ImageRecord): Promise<void> {
  for (const store of stores.values()) {
    if (store.readOnly) continue;
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
