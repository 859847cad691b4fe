import type { ImageRepo, TaskRepo } from '../catalog/repositories.ts';
import { CatalogError } from '../catalog/errors.ts';
import type { ImageChanges, ImageRecord, ImageStatus } from '../catalog/image.ts';
import {
  FAILED_STORES_PROPERTY,
  IMPORTING_STORES_PROPERTY,
  IMPORT_TASK_PROPERTY,
  RESERVED_PREFIX,
} from '../catalog/image.ts';
import type { Failure } from '../flow/failure.ts';
import type { Conclusion } from '../flow/step.ts';
import type { ImportParts } from './stage-context.ts';
import { isStaged } from './state.ts';

/** Why the last import of an image failed: `<code>: <message>`. */
export const IMPORT_ERROR_PROPERTY: string = `${RESERVED_PREFIX}_import_error`;
/** The most characters of a property's value. */
export const MAX_PROPERTY_LENGTH = 255;

/** What an image says of the failure that left it without data. */
export function reasonOf({ code, message }: Failure): Readonly<Record<string, string>> {
  return { [IMPORT_ERROR_PROPERTY]: `${code}: ${message}`.slice(0, MAX_PROPERTY_LENGTH) };
}

type Failed = Exclude<Conclusion, { readonly kind: 'succeeded' }>;

/**
 * The very end of an import. However it went, its scratch directory is removed. When it failed, image and task say so in
 * one transaction: the image waits in `queued` for another try, its stores have failed, the reason can be read.
 */
export function concludeImport<T>(parts: ImportParts<T>, taskId: string): (conclusion: Conclusion) => Promise<void> {
  return async (conclusion) => {
    await parts.staging.remove(taskId);
    const imageId = String(conclusion.state['image_id']);
    if (isStaged(conclusion.state['import_method'])) await discardStaged(parts, { imageId, taskId });
    if (conclusion.kind === 'succeeded') return;
    await parts.catalog.transaction(async ({ images, tasks }) => {
      await releaseImage(images, { imageId, taskId, conclusion });
      await failTask(tasks, { taskId, conclusion, expiresAt: parts.now() + parts.settings.taskTimeToLiveMs });
    });
  };
}

/** States in which an image may be given other data, once the import has let go of it. */
const BEFORE_DATA: ReadonlySet<ImageStatus> = new Set(['queued', 'uploading', 'saving', 'importing']);

/** The end may come a second time, after the image was free and other data was staged: that stays. */
async function discardStaged<T>(
  { catalog, uploads }: ImportParts<T>,
  { imageId, taskId }: Pick<Release, 'imageId' | 'taskId'>,
): Promise<void> {
  const image = await existing(catalog.images.get(imageId));
  const isFree = image !== undefined && image.properties[IMPORT_TASK_PROPERTY] !== taskId;
  if (isFree && BEFORE_DATA.has(image.status)) return;
  await uploads.remove(imageId);
}

interface Release {
  readonly imageId: string;
  readonly taskId: string;
  readonly conclusion: Failed;
}

async function releaseImage(images: ImageRepo, { imageId, taskId, conclusion }: Release): Promise<void> {
  const image = await existing(images.get(imageId));
  if (image?.properties[IMPORT_TASK_PROPERTY] !== taskId) return;
  await images.save(image, releasedImage(image, conclusion));
}

function releasedImage(image: ImageRecord, { failure, state }: Failed): ImageChanges {
  const { [IMPORT_TASK_PROPERTY]: _lock, [IMPORTING_STORES_PROPERTY]: _waiting, ...properties } = image.properties;
  // Stores that had been filled were emptied again: all that were asked for have failed.
  const stores = Array.isArray(state['stores']) ? state['stores'].map(String) : [];
  return {
    ...(['importing', 'uploading', 'saving'].includes(image.status) ? { status: 'queued' } : {}),
    properties: {
      ...properties,
      [FAILED_STORES_PROPERTY]: stores.join(','),
      ...reasonOf(failure),
    },
  };
}

interface TaskEnd {
  readonly taskId: string;
  readonly conclusion: Failed;
  readonly expiresAt: number;
}

/** The task has failed, for the reason of the conclusion; an ended or forgotten task stays as it is. */
export async function failTask(tasks: TaskRepo, { taskId, conclusion, expiresAt }: TaskEnd): Promise<void> {
  const task = await existing(tasks.get(taskId));
  if (task === undefined || task.status === 'failure' || task.status === 'success') return;
  const { failure, revertFailures } = conclusion;
  const reverts = revertFailures.map((each) => `; while reverting ${each.step ?? ''}: ${each.message}`);
  const message = failure.message + reverts.join('');
  await tasks.save(task, { status: 'failure', errorCode: failure.code, message, expiresAt });
}

/** Undefined for a record that is not there. */
export async function existing<T>(record: Promise<T>): Promise<T | undefined> {
  try {
    return await record;
  } catch (error) {
    if (error instanceof CatalogError && error.code === 'not_found') return undefined;
    throw error;
  }
}
