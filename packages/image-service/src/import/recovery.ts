import { stat } from 'node:fs/promises';
import type { ImageStatus } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { DataParts } from './image-data.ts';
import { stagedPath } from './image-data.ts';
import { removeOrphans } from './image-places.ts';
import { removeDeletedBlobs } from './removal.ts';

/**
 * Brings images to rest whose data was on its way when the process died: nobody is sending any more. Uploads begin anew,
 * data that was staged whole stays, what deleted images have left goes. Before anybody can send data again.
 */
export async function recoverImages(parts: DataParts): Promise<void> {
  const { images } = parts.catalog;
  for (const image of await allOf(parts, 'saving')) {
    for (const store of parts.stores.values()) {
      if (store.readOnly) continue;
      for (const location of await store.blobsOf(image.id)) await store.delete(location);
    }
    await changeImage(images, image.id, ({ status }) => (status === 'saving' ? { status: 'queued' } : undefined));
  }
  const waiting: string[] = [];
  for (const image of await allOf(parts, 'uploading')) {
    const whole = await stat(await stagedPath(parts.uploads, image.id)).catch(() => undefined);
    if (whole === undefined) {
      await changeImage(images, image.id, ({ status }) => (status === 'uploading' ? { status: 'queued' } : undefined));
    } else {
      waiting.push(image.id);
    }
  }
  const importing = (await allOf(parts, 'importing')).filter(({ properties }) => IMPORT_TASK_PROPERTY in properties);
  await parts.uploads.keepOnly([...waiting, ...importing.map((image) => image.id)]);
  await removeOrphans(parts);
  for (const image of await allOf(parts, 'deleted')) {
    if (image.locations.length > 0) await removeDeletedBlobs(parts, image);
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
