import type { ImageLocation, ImageRecord } from '../../catalog/image.ts';
import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, storeList } from '../../catalog/image.ts';
import { changeImage } from '../../catalog/repositories.ts';
import type { Step, StepContext } from '../../flow/step.ts';
import type { ImageStore } from '../../store/store.ts';
import { ImportError } from '../errors.ts';
import { describeFailure, isPassingFailure } from '../failure.ts';
import { imageForm } from '../forms.ts';
import { refuseForeign } from '../image-in-use.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { inPhase, stageName } from '../stage-context.ts';
import type { MadeForm, OtherForms, Stored } from '../state.ts';
import { PASSING_ATTEMPTS } from '../store.ts';
import type { CopyInput, Fetched } from './state.ts';
import { fetchedKey } from './state.ts';

/** All that is known when a copy goes into a store. */
export type PlaceInput = CopyInput & Fetched & OtherForms;

/**
 * Puts the image into one more store. It can be read from there at once. When not all stores must succeed, a store that
 * fails is recorded and the copy goes on, unless no store at all has been filled.
 */
export function placeStep<T>(parts: ImportParts<T>, of: StageOf, storeId: string): Step<PlaceInput, Stored> {
  return {
    name: `${stageName('Store', of)}-${storeId}`,
    async execute(input, context) {
      try {
        const location = await placeIn(parts, of, { input, context, storeId });
        return { ...storedSoFar(input), filled_stores: [...input.filled_stores, { store: storeId, location }] };
      } catch (error) {
        if (context.signal.aborted || input.all_stores_must_succeed || isLastHope(input, storeId)) throw error;
        if (isPassingFailure(error) && context.attempt < PASSING_ATTEMPTS) throw error;
        const { code, message } = describeFailure(error);
        context.warn(`Store "${storeId}" does not have the image: ${message}`);
        await takeBack(parts, of, { storeId, imageId: input.image_id }).catch((fault: unknown) =>
          context.warn(`It may have left something there: ${describeFailure(fault).message}`),
        );
        await noteFailed(of, input.image_id, storeId);
        const { store_failures: failures = [], ...before } = storedSoFar(input);
        return {
          ...before,
          failed_stores: [...input.failed_stores, storeId],
          store_failures: [...failures, { store: storeId, code, message }],
        };
      }
    },
    revert: (input) => takeBack(parts, of, { storeId, imageId: input.image_id }),
  };
}

function storedSoFar({ filled_stores, failed_stores, store_failures = [] }: PlaceInput): Stored {
  return { filled_stores, failed_stores, store_failures };
}

/** No other store was filled, and none comes after this one. */
function isLastHope(input: PlaceInput, storeId: string): boolean {
  return input.filled_stores.length === 0 && input.stores.at(-1) === storeId;
}

interface Placing {
  readonly input: PlaceInput;
  readonly context: StepContext;
  readonly storeId: string;
}

/** Gives the location; that of an earlier attempt when the image has it already. */
async function placeIn<T>(parts: ImportParts<T>, of: StageOf, { input, context, storeId }: Placing): Promise<string> {
  const store = parts.stores.get(storeId);
  if (store === undefined) throw new ImportError('invalid_value', `There is no store "${storeId}"`);
  const image = await parts.catalog.images.get(input.image_id);
  const earlier = image.locations.find((place) => place.store === storeId);
  if (earlier !== undefined) return earlier.location;
  await removeAttempts(parts, store, image.id);
  const { file_path: path, size: sizeBytes } = formIn(input, storeId);
  const { epoch, signal, report } = context;
  const owner = { imageId: image.id, epoch: input.attempt_base + epoch };
  const onBytes = inPhase(`store ${storeId}`, report);
  const { location } = await store.put(owner, { path, sizeBytes }, { signal, onBytes });
  await changeImage(parts.catalog.images, image.id, (current) => {
    refuseForeign(current, of.taskId);
    const place = placeOf(current, { store: storeId, location }, formIn(input, storeId));
    return { locations: [...current.locations, place], properties: without(current, storeId) };
  });
  return location;
}

/** What the store gets. */
function formIn(input: PlaceInput, storeId: string): MadeForm {
  const form = input.forms.find(({ stores }) => stores.includes(storeId));
  const made = form?.conversion_format === null ? input.fetched[fetchedKey(form)] : input.other_made?.[form?.key ?? ''];
  if (made === undefined) throw new Error(`assertion failed: what store ${storeId} gets is made before it is stored`);
  return made;
}

/** The place with what it holds, where that is not what the image's record says. */
function placeOf(image: ImageRecord, place: ImageLocation, form: MadeForm): ImageLocation {
  const isRecorded =
    form.disk_format === image.diskFormat &&
    form.size === image.size &&
    form.checksum === (image.checksum ?? form.checksum);
  return isRecorded ? place : { ...place, form: imageForm(form) };
}

/** The properties when the store is no longer waited for. */
function without({ properties }: ImageRecord, storeId: string): ImageRecord['properties'] {
  const waiting = storeList(properties[IMPORTING_STORES_PROPERTY]).filter((id) => id !== storeId);
  return { ...properties, [IMPORTING_STORES_PROPERTY]: waiting.join(',') };
}

async function noteFailed(of: StageOf, imageId: string, storeId: string): Promise<void> {
  await changeImage(of.imageRepo, imageId, (image) => {
    refuseForeign(image, of.taskId);
    const failed = [...storeList(image.properties[FAILED_STORES_PROPERTY]), storeId];
    return { properties: { ...without(image, storeId), [FAILED_STORES_PROPERTY]: [...new Set(failed)].join(',') } };
  });
}

interface TakenBack {
  readonly storeId: string;
  readonly imageId: string;
}

/**
 * Takes a copy back. What the image named was perhaps being read: it goes the way of everything that images give up. What
 * it never named goes at once.
 */
async function takeBack<T>(parts: ImportParts<T>, of: StageOf, { storeId, imageId }: TakenBack): Promise<void> {
  await parts.catalog.transaction(async ({ images, blobRemovals }) => {
    const image = await images.get(imageId);
    const given = image.locations.filter(({ store }) => store === storeId);
    // Of an image that is gone nothing is to be taken: its places go with it.
    if (given.length === 0 || image.status === 'deleted') return;
    refuseForeign(image, of.taskId);
    await images.save(image, { locations: image.locations.filter(({ store }) => store !== storeId) });
    for (const { store, location } of given) await blobRemovals.add({ imageId, store, location });
  });
  const store = parts.stores.get(storeId);
  if (store === undefined) return;
  await store.discardUnfinished(imageId);
  await removeAttempts(parts, store, imageId);
}

/**
 * Removes what earlier attempts have stored: neither named by the record nor given up by it and perhaps still read. What
 * cannot be removed now is written down, and removed later.
 */
async function removeAttempts<T>({ catalog }: ImportParts<T>, store: ImageStore, imageId: string): Promise<void> {
  const { locations } = await catalog.images.get(imageId);
  const given = [...locations, ...(await catalog.blobRemovals.list())].filter((place) => place.store === store.id);
  const kept = new Set(given.map(({ location }) => location));
  for (const location of await store.blobsOf(imageId)) {
    if (kept.has(location)) continue;
    await store.delete(location).catch(() => catalog.blobRemovals.add({ imageId, store: store.id, location }));
  }
}
