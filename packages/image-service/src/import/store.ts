import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { Step, StepContext } from '../flow/step.ts';
import type { ImageStore } from '../store/store.ts';
import { ImportError } from './errors.ts';
import type { FormsState } from './forms.ts';
import { formFor } from './forms.ts';
import { promiseStored } from './import-room.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import type { ImportInput, Stored } from './state.ts';
import { fillStep, putFile, storeOf, strayBlobs, withFailed, withoutAwaited } from './store-filling.ts';

/** All that is known when the result goes into a store. */
export type StoreInput = ImportInput & FormsState & Stored;

/** Puts the result into one store; the record names it when the image becomes active. */
export function storeStep<T>(parts: ImportParts<T>, of: StageOf, storeId: string): Step<StoreInput, Stored> {
  return fillStep(parts, of, {
    storeId,
    async fill(input: StoreInput, context) {
      await promiseStored(parts, input, storeId);
      const location = await putInto(parts, storeOf(parts, storeId), { input, context });
      await noteStore(of, input.image_id, { store: storeId, failed: [] });
      return location;
    },
    empty: (input) => emptyStore(parts, storeId, input.image_id),
    noteFailed: (input) => noteStore(of, input.image_id, { store: storeId, failed: [storeId] }),
  });
}

interface Put {
  readonly input: StoreInput;
  readonly context: StepContext;
}

async function putInto<T>(parts: ImportParts<T>, store: ImageStore, { input, context }: Put): Promise<string> {
  const { image_id: imageId, attempt_base: attemptBase = 0 } = input;
  const { file_path: path, size: sizeBytes } = formFor(input, store.id);
  await removeStray(parts, store, imageId);
  const location = await putFile(parts, { storeId: store.id, imageId, path, sizeBytes, attemptBase }, context);
  // An attempt before this one was cut off, perhaps in the middle of the same.
  if (context.epoch > 1 || context.attempt > 1) await store.discardUnfinished(imageId);
  return location;
}

/** Removes everything of the image that its record does not name, parts of cut-off attempts too. */
async function emptyStore<T>(parts: ImportParts<T>, storeId: string, imageId: string): Promise<void> {
  const store = parts.stores.get(storeId);
  if (store === undefined) return;
  await store.discardUnfinished(imageId);
  await removeStray(parts, store, imageId);
}

async function removeStray<T>(parts: ImportParts<T>, store: ImageStore, imageId: string): Promise<void> {
  for (const location of await strayBlobs(parts, store, imageId)) await store.delete(location);
}

interface StoreNote {
  readonly store: string;
  readonly failed: readonly string[];
}

/** The store is no longer waited for; `failed` joins those that could not be filled. */
async function noteStore(of: StageOf, imageId: string, { store, failed }: StoreNote): Promise<void> {
  await changeImage(of.imageRepo, imageId, ({ properties }) => {
    if (properties[IMPORT_TASK_PROPERTY] !== of.taskId) {
      throw new ImportError('conflict', 'The image is no longer held by this import');
    }
    return { properties: withFailed(withoutAwaited(properties, store), failed) };
  });
}
