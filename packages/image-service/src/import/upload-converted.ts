import { randomUUID } from 'node:crypto';
import type { ImageRecord } from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { NewTask } from '../catalog/task.ts';
import type { Engine } from '../flow/engine.ts';
import { awaitTask } from './awaited-task.ts';
import { describeFailure } from './failure.ts';
import { lossOf } from './incoming-holds.ts';
import { readerOf } from './format-table.ts';
import type { IncomingData } from './image-data.ts';
import {
  keepStaged,
  queueAgain,
  reasonFor,
  refuseUnlessDescribed,
  refuseUnlessQueued,
  settledImage,
  WRAPPING_CONTAINERS,
  writableStore,
} from './image-data.ts';
import type { ImportParts } from './stage-context.ts';
import { submitImport } from './submit.ts';

/** An upload that is to be converted. */
export interface ConvertedUpload {
  readonly data: IncomingData;
  /** What it is converted to. */
  readonly format: string;
  readonly asker: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
}

/**
 * What uploads into the store are converted to, when `general` says so for stores that do not; undefined where there is
 * nothing to do: the image is declared to be in that format, or to be no disk image.
 */
export function uploadTarget<T>(
  parts: ImportParts<T>,
  image: ImageRecord,
  { store, general }: { readonly store: string | undefined; readonly general: string },
): string | undefined {
  const { settings, tools } = parts;
  const format = settings.storeFormats[store ?? settings.defaultStore] ?? general;
  const reader = readerOf(image.diskFormat ?? '');
  if (reader === undefined || !tools.readable.includes(reader) || reader === format) return undefined;
  return WRAPPING_CONTAINERS.has(image.containerFormat ?? '') ? undefined : format;
}

/**
 * Keeps what is sent, then has it imported by a task of its own and waits for its end. The image is `saving` all the time,
 * then `active`, or `queued` again when it fails. Once everything has come, the image ends whether its sender, or this
 * process, waits or not. Throws as `uploadData`, and `TaskFailedError`.
 */
export async function uploadConverted<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  { data, format, asker }: ConvertedUpload,
): Promise<void> {
  const store = writableStore(parts, data.store);
  const { imageId } = data;
  const { revision: epoch } = await changeImage(parts.catalog.images, imageId, (current) => {
    refuseUnlessQueued(current);
    refuseUnlessDescribed(current);
    return { status: 'saving' };
  });
  const taskId = randomUUID();
  try {
    await keepStaged(parts, data, epoch);
    await data.stillHeld?.();
    await submitImport(parts, engine, {
      taskId,
      taskType: 'api_image_import',
      taskInput: { image_id: imageId, import_req: { method: { name: 'upload' }, stores: [store.id] } },
      image: imageId,
      importFrom: await parts.uploads.addressOf(imageId),
      method: 'upload',
      stores: [store.id],
      conversionFormat: format,
      asker,
    });
  } catch (error) {
    await takeBack(parts, { data, taskId }, error);
  }
  await awaitTask(parts, engine, taskId);
}

/** Undoes what came before the task and throws why; returns when the task is there all the same. */
async function takeBack<T>(
  parts: ImportParts<T>,
  { data, taskId }: Pick<ConvertedUpload, 'data'> & { readonly taskId: string },
  why: unknown,
): Promise<void> {
  const { uploads, catalog, log } = parts;
  const { imageId } = data;
  let reason = why;
  try {
    await settledImage(parts, imageId);
    const tasks = await catalog.tasks.list({ imageId });
    if (tasks.some(({ id }) => id === taskId)) return;
    const loss = await lossOf(data);
    if (loss === undefined) {
      await uploads.remove(imageId);
      reason = reasonFor(await queueAgain(parts, imageId, { from: 'saving', why: describeFailure(why) }), why);
    } else {
      reason = loss;
    }
  } catch (fault) {
    // The next start finds the image still `saving` and does the same.
    log(`image ${imageId}: what its failed upload left could not be removed: ${String(fault)}`);
  }
  throw reason;
}
