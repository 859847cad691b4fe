import type { ImageRecord } from '../catalog/image.ts';
import {
  FAILED_STORES_PROPERTY,
  IMPORTING_STORES_PROPERTY,
  IMPORT_TASK_PROPERTY,
  storeList,
} from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import { FlowError } from '../flow/failure.ts';
import type { Step, StepContext } from '../flow/step.ts';
import type { ImageStore } from '../store/store.ts';
import { ImportError } from './errors.ts';
import type { FormsState } from './forms.ts';
import { formFor } from './forms.ts';
import { describeFailure, isPassingFailure } from './failure.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { ImportInput, Stored } from './state.ts';

/** All that is known when the result goes into a store. */
export type StoreInput = ImportInput & FormsState & Stored;

/** A store that does not answer is tried so often before an import goes on without it. */
export const PASSING_ATTEMPTS = 3;

/**
 * Puts the result into one store. When not all stores must succeed, a store that fails is recorded and the import goes
 * on, unless no store at all has the image.
 */
export function storeStep<T>(parts: ImportParts<T>, of: StageOf, storeId: string): Step<StoreInput, Stored> {
  return {
    name: `${stageName('Store', of)}-${storeId}`,
    async execute(input, context) {
      try {
        await promiseRoom(parts, input, storeId);
        const location = await putInto(storeOf(parts, storeId), of, { input, context });
        await noteFilled(parts, of, { imageId: input.image_id, store: storeId, location, context });
        return { ...storedSoFar(input), filled_stores: [...input.filled_stores, { store: storeId, location }] };
      } catch (error) {
        if (isLost(error) || parts.isOutage?.(error) === true) throw error;
        if (context.signal.aborted || input.all_stores_must_succeed || isLastHope(input, storeId)) throw error;
        if (isPassingFailure(error) && context.attempt < PASSING_ATTEMPTS) throw error;
        const { code, message } = describeFailure(error);
        context.warn(`Store "${storeId}" does not have the image: ${message}`);
        await tryToEmpty(context, () => emptyStore(parts.stores.get(storeId), of, input.image_id));
        await noteStore(of, input.image_id, { store: storeId, failed: [storeId] });
        const { store_failures: failures = [], ...before } = storedSoFar(input);
        return {
          ...before,
          failed_stores: [...input.failed_stores, storeId],
          store_failures: [...failures, { store: storeId, code, message }],
        };
      }
    },
    revert: async (input) => emptyStore(parts.stores.get(storeId), of, input.image_id),
  };
}

function storedSoFar({ filled_stores, failed_stores, store_failures = [] }: StoreInput): Stored {
  return { filled_stores, failed_stores, store_failures };
}

/** The job is somebody else's. */
function isLost(error: unknown): boolean {
  return error instanceof FlowError && error.code === 'fenced';
}

interface Filled {
  readonly imageId: string;
  readonly store: string;
  readonly location: string;
  readonly context: StepContext;
}

/** Whoever has lost the job takes back what it has just stored: nobody else knows of it. */
async function noteFilled<T>(
  parts: ImportParts<T>,
  of: StageOf,
  { imageId, store, location, context }: Filled,
): Promise<void> {
  try {
    await noteStore(of, imageId, { store, failed: [] });
  } catch (error) {
    if (isLost(error)) await tryToEmpty(context, async () => parts.stores.get(store)?.delete(location));
    throw error;
  }
}

/** A store that fails may not let itself be emptied either; what is left there is removed at a later start. */
async function tryToEmpty({ warn }: StepContext, empty: () => Promise<void>): Promise<void> {
  await empty().catch((error: unknown) => warn(`It may have left something there: ${describeFailure(error).message}`));
}

/** A store by its id. Throws `invalid_value` for one that is not configured (any more). */
function storeOf<T>(parts: ImportParts<T>, storeId: string): ImageStore {
  const store = parts.stores.get(storeId);
  if (store === undefined) throw new ImportError('invalid_value', `There is no store "${storeId}"`);
  return store;
}

/** No other store has the image, and none comes after this one. */
function isLastHope(input: StoreInput, storeId: string): boolean {
  return input.filled_stores.length === 0 && input.stores.at(-1) === storeId;
}

/** Promises the image what this store and those that are filled already take. Throws `over_quota`. */
async function promiseRoom<T>({ catalog }: ImportParts<T>, input: StoreInput, storeId: string): Promise<void> {
  const stores = [...input.filled_stores.map(({ store }) => store), storeId];
  const bytes = stores.reduce((sum, store) => sum + formFor(input, store).size, 0);
  await catalog.reservations.promise(input.image_id, { kind: 'storedBytes', atLeast: bytes, wished: bytes });
}

interface Put {
  readonly input: StoreInput;
  readonly context: StepContext;
}

async function putInto(store: ImageStore, of: StageOf, { input, context }: Put): Promise<string> {
  const { image_id: imageId } = input;
  const { file_path: path, size: sizeBytes } = formFor(input, store.id);
  const { epoch, attempt, signal, report } = context;
  await removeFrom(store, of, imageId);
  const onBytes = inPhase(`store ${store.id}`, report);
  const { location } = await store.put(
    { imageId, epoch: (input.attempt_base ?? 0) + epoch },
    { path, sizeBytes },
    { signal, onBytes },
  );
  // An attempt before this one was cut off, perhaps in the middle of the same.
  if (epoch > 1 || attempt > 1) await store.discardUnfinished(imageId);
  return location;
}

/** Removes everything of the image that its record does not name, parts of cut-off attempts too. */
async function emptyStore(store: ImageStore | undefined, of: StageOf, imageId: string): Promise<void> {
  await store?.discardUnfinished(imageId);
  await removeFrom(store, of, imageId);
}

/** Removes what earlier attempts have stored of the image; what its record names is no residue. */
async function removeFrom(store: ImageStore | undefined, of: StageOf, imageId: string): Promise<void> {
  if (store === undefined) return;
  const image = await of.imageRepo.get(imageId);
  const kept = new Set(image.locations.filter((place) => place.store === store.id).map((place) => place.location));
  for (const location of await store.blobsOf(imageId)) if (!kept.has(location)) await store.delete(location);
}

interface StoreNote {
  readonly store: string;
  readonly failed: readonly string[];
}

/** The store is no longer waited for; `failed` joins those that could not be filled. */
async function noteStore(of: StageOf, imageId: string, { store, failed }: StoreNote): Promise<void> {
  await changeImage(of.imageRepo, imageId, (image: ImageRecord) => {
    const { properties } = image;
    if (properties[IMPORT_TASK_PROPERTY] !== of.taskId) {
      throw new ImportError('conflict', 'The image is no longer held by this import');
    }
    const waiting = storeList(properties[IMPORTING_STORES_PROPERTY]).filter((id) => id !== store);
    const failing = [...storeList(properties[FAILED_STORES_PROPERTY]), ...failed];
    return {
      properties: {
        ...properties,
        [IMPORTING_STORES_PROPERTY]: waiting.join(','),
        [FAILED_STORES_PROPERTY]: [...new Set(failing)].join(','),
      },
    };
  });
}
