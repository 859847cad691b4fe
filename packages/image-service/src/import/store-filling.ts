import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, storeList } from '../catalog/image.ts';
import type { ImageRecord } from '../catalog/image.ts';
import { FlowError } from '../flow/failure.ts';
import type { Step, StepContext } from '../flow/step.ts';
import type { ImageStore } from '../store/store.ts';
import { ImportError } from './errors.ts';
import { describeFailure, isPassingFailure } from './failure.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { ImportInput, Stored } from './state.ts';

/** A store that does not answer is tried so often before the work goes on without it. */
const PASSING_ATTEMPTS = 3;

/** What is known of the stores that are to be filled, and of those that are. */
export type FillingInput = Pick<ImportInput, 'image_id' | 'stores' | 'all_stores_must_succeed'> & Stored;

/** How one of the stores is filled. */
export interface StoreFilling<Input> {
  readonly storeId: string;
  /** Gives the location. */
  fill(input: Input, context: StepContext): Promise<string>;
  /** Takes back whatever was put there. Missing means done. */
  empty(input: Input): Promise<void>;
  /** The image's record says from now on that the store could not be filled. */
  noteFailed(input: Input): Promise<void>;
}

/**
 * Fills one store. When not all stores must succeed, a store that fails is recorded and the work goes on, unless no store
 * at all has been filled. What says nothing about the store is thrown: an outage of the database, the loss of the job.
 */
export function fillStep<T, Input extends FillingInput>(
  parts: ImportParts<T>,
  of: StageOf,
  { storeId, fill, empty, noteFailed }: StoreFilling<Input>,
): Step<Input, Stored> {
  return {
    name: `${stageName('Store', of)}-${storeId}`,
    async execute(input, context) {
      try {
        const location = await fill(input, context);
        return { ...storedSoFar(input), filled_stores: [...input.filled_stores, { store: storeId, location }] };
      } catch (error) {
        if (isLost(error) || parts.isOutage?.(error) === true) throw error;
        if (context.signal.aborted || input.all_stores_must_succeed || isLastHope(input, storeId)) throw error;
        if (isPassingFailure(error) && context.attempt < PASSING_ATTEMPTS) throw error;
        const { code, message } = describeFailure(error);
        context.warn(`Store "${storeId}" does not have the image: ${message}`);
        await tryToEmpty(context, () => empty(input));
        await noteFailed(input);
        const { store_failures: failures = [], ...before } = storedSoFar(input);
        return {
          ...before,
          failed_stores: [...input.failed_stores, storeId],
          store_failures: [...failures, { store: storeId, code, message }],
        };
      }
    },
    revert: (input) => empty(input),
  };
}

function storedSoFar({ filled_stores, failed_stores, store_failures = [] }: Stored): Stored {
  return { filled_stores, failed_stores, store_failures };
}

/** The job is somebody else's. */
function isLost(error: unknown): boolean {
  return error instanceof FlowError && error.code === 'fenced';
}

/** No other store was filled, and none comes after this one. */
function isLastHope({ filled_stores, stores }: FillingInput, storeId: string): boolean {
  return filled_stores.length === 0 && stores.at(-1) === storeId;
}

/** A store that fails may not let itself be emptied either; what is left there is removed at a later start. */
async function tryToEmpty({ warn }: StepContext, empty: () => Promise<void>): Promise<void> {
  await empty().catch((error: unknown) => warn(`It may have left something there: ${describeFailure(error).message}`));
}

/** A store by its id. Throws `invalid_value` for one that is not configured (any more). */
export function storeOf({ stores }: Pick<ImportParts, 'stores'>, storeId: string): ImageStore {
  const store = stores.get(storeId);
  if (store === undefined) throw new ImportError('invalid_value', `There is no store "${storeId}"`);
  return store;
}

/** A file that goes into a store. */
export interface FileForStore {
  readonly storeId: string;
  readonly imageId: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Attempts of this job are numbered from here. */
  readonly attemptBase: number;
}

/**
 * Puts the file there under a name of this attempt, and gives its location. Whoever has lost the job meanwhile takes back
 * what it has just stored: who has the job now may have looked for such things already. Who takes it over later will look.
 */
export async function putFile<T>(parts: ImportParts<T>, file: FileForStore, context: StepContext): Promise<string> {
  const { storeId, imageId, path, sizeBytes, attemptBase } = file;
  const { epoch, signal, report } = context;
  const store = storeOf(parts, storeId);
  const onBytes = inPhase(`store ${storeId}`, report);
  const owner = { imageId, epoch: attemptBase + epoch };
  const { location } = await store.put(owner, { path, sizeBytes }, { signal, onBytes });
  try {
    await refuseLost(parts);
  } catch (error) {
    if (isLost(error)) await tryToEmpty(context, () => store.delete(location));
    throw error;
  }
  return location;
}

/** Throws `fenced` when the job is somebody else's: every transaction of a flow looks first whose it is. */
async function refuseLost<T>({ catalog }: ImportParts<T>): Promise<void> {
  await catalog.transaction(async () => {});
}

/** What attempts have stored of the image that is neither named by its record nor given up by it and perhaps still read. */
export async function strayBlobs<T>(
  { catalog }: Pick<ImportParts<T>, 'catalog'>,
  store: ImageStore,
  imageId: string,
): Promise<readonly string[]> {
  const { locations } = await catalog.images.get(imageId);
  const given = [...locations, ...(await catalog.blobRemovals.list())].filter((place) => place.store === store.id);
  const kept = new Set(given.map(({ location }) => location));
  return (await store.blobsOf(imageId)).filter((location) => !kept.has(location));
}

type Properties = ImageRecord['properties'];

/** The properties when the store is no longer waited for. */
export function withoutAwaited(properties: Properties, storeId: string): Properties {
  const waiting = storeList(properties[IMPORTING_STORES_PROPERTY]).filter((id) => id !== storeId);
  return { ...properties, [IMPORTING_STORES_PROPERTY]: waiting.join(',') };
}

/** The properties when these stores are among those that could not be filled. */
export function withFailed(properties: Properties, failed: readonly string[]): Properties {
  const all = [...storeList(properties[FAILED_STORES_PROPERTY]), ...failed];
  return { ...properties, [FAILED_STORES_PROPERTY]: [...new Set(all)].join(',') };
}
