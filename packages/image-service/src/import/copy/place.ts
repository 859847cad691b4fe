import type { ImageLocation, ImageRecord } from '../../catalog/image.ts';
import { changeImage } from '../../catalog/repositories.ts';
import type { Step, StepContext } from '../../flow/step.ts';
import type { ImageStore } from '../../store/store.ts';
import { imageForm } from '../forms.ts';
import { refuseForeign } from '../image-in-use.ts';
import { exactly, promiseRoom } from '../promised-room.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import type { MadeForm, OtherForms, Stored } from '../state.ts';
import { fillStep, putFile, storeOf, strayBlobs, withFailed, withoutAwaited } from '../store-filling.ts';
import type { CopyInput, Fetched } from './state.ts';
import { fetchedKey } from './state.ts';

/** All that is known when a copy goes into a store. */
export type PlaceInput = CopyInput & Fetched & OtherForms;

/** Puts the image into one more store. It can be read from there at once. */
export function placeStep<T>(parts: ImportParts<T>, of: StageOf, storeId: string): Step<PlaceInput, Stored> {
  return fillStep(parts, of, {
    storeId,
    fill: (input: PlaceInput, context) => placeIn(parts, of, { input, context, storeId }),
    empty: (input) => takeBack(parts, of, { storeId, imageId: input.image_id }),
    noteFailed: (input) => noteFailed(of, input.image_id, storeId),
  });
}

interface Placing {
  readonly input: PlaceInput;
  readonly context: StepContext;
  readonly storeId: string;
}

/** Gives the location; that of an earlier attempt when the image has it already. */
async function placeIn<T>(parts: ImportParts<T>, of: StageOf, { input, context, storeId }: Placing): Promise<string> {
  const store = storeOf(parts, storeId);
  const image = await parts.catalog.images.get(input.image_id);
  const earlier = image.locations.find((place) => place.store === storeId);
  if (earlier !== undefined) return earlier.location;
  await promiseOpen(parts, input, storeId);
  await removeStray(parts, store, image.id);
  const { file_path: path, size: sizeBytes } = formIn(input, storeId);
  const file = { storeId, imageId: image.id, path, sizeBytes, attemptBase: input.attempt_base };
  const location = await putFile(parts, file, context);
  await changeImage(parts.catalog.images, image.id, (current) => {
    refuseForeign(current, of.taskId);
    const place = placeOf(current, { store: storeId, location }, formIn(input, storeId));
    return { locations: [...current.locations, place], properties: withoutAwaited(current.properties, storeId) };
  });
  return location;
}

/** Promises the image what this store takes, and those that come after it. Throws `over_quota`. */
async function promiseOpen<T>({ catalog }: ImportParts<T>, input: PlaceInput, storeId: string): Promise<void> {
  const open = input.stores.slice(input.stores.indexOf(storeId));
  const [now, ...later] = open.map((store) => exactly(formIn(input, store).size));
  if (now === undefined) throw new Error('assertion failed: a store that is filled is among those of the copy');
  const room = input.all_stores_must_succeed ? { needed: [now, ...later] } : { needed: [now], hopedFor: later };
  await promiseRoom(catalog, input.image_id, room);
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

async function noteFailed(of: StageOf, imageId: string, storeId: string): Promise<void> {
  await changeImage(of.imageRepo, imageId, (image) => {
    refuseForeign(image, of.taskId);
    return { properties: withFailed(withoutAwaited(image.properties, storeId), [storeId]) };
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
  await removeStray(parts, store, imageId);
}

/** Removes what earlier attempts have stored. What cannot be removed now is written down, and removed later. */
async function removeStray<T>(parts: ImportParts<T>, store: ImageStore, imageId: string): Promise<void> {
  for (const location of await strayBlobs(parts, store, imageId)) {
    await store.delete(location).catch(() => parts.catalog.blobRemovals.add({ imageId, store: store.id, location }));
  }
}
