import type { ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Conclusion } from '../flow/step.ts';
import { existing, failTask } from './conclude.ts';
import { ImportError } from './errors.ts';
import type { ImportParts, StageOf } from './stage-context.ts';

/**
 * Begins work on an image that stays in use: the task is `processing` from now on; again it changes nothing. Gives the
 * image. Throws `conflict` unless the image is still locked for the task.
 */
export async function beginInUse<T>(
  { catalog }: ImportParts<T>,
  { taskId }: StageOf,
  imageId: string,
): Promise<ImageRecord> {
  return catalog.transaction(async ({ images, tasks }) => {
    const image = await images.get(imageId);
    refuseForeign(image, taskId);
    const task = await tasks.get(taskId);
    if (task.status === 'pending') await tasks.save(task, { status: 'processing' });
    return image;
  });
}

/** Throws `conflict` unless the image is in use and locked for the task. */
export function refuseForeign({ status, properties }: ImageRecord, taskId: string): void {
  const isLocked = properties[IMPORT_TASK_PROPERTY] === taskId;
  if (isLocked && (status === 'active' || status === 'deactivated')) return;
  throw new ImportError('conflict', `The image became ${status} while its task was at work`);
}

/** The very end of work on an image that stays in use: when it failed, the image is free again, and the task says why. */
export async function releaseInUse<T>(
  { catalog, settings, now }: ImportParts<T>,
  taskId: string,
  conclusion: Conclusion,
): Promise<void> {
  if (conclusion.kind === 'succeeded') return;
  await catalog.transaction(async ({ images, tasks }) => {
    const image = await existing(images.get(String(conclusion.state['image_id'])));
    if (image?.properties[IMPORT_TASK_PROPERTY] === taskId) {
      const { [IMPORT_TASK_PROPERTY]: _lock, ...properties } = image.properties;
      await images.save(image, { properties });
    }
    await failTask(tasks, { taskId, conclusion, expiresAt: now() + settings.taskTimeToLiveMs });
  });
}

/** Lets bytes pass and says how many have. */
export async function* countedBytes(
  bytes: AsyncIterable<Uint8Array>,
  onBytes: (done: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const piece of bytes) {
    yield piece;
    done += piece.length;
    onBytes(done);
  }
}
