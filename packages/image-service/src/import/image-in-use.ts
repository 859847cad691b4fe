import type { ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
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
