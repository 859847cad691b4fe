import { randomUUID } from 'node:crypto';
import type { ImageLocation, ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import { bytesInStores } from '../catalog/quota.ts';
import type { NewTask } from '../catalog/task.ts';
import type { Engine } from '../flow/engine.ts';
import type { Flow, FlowFactory, Step } from '../flow/step.ts';
import { linearFlow } from '../flow/step.ts';
import { awaitTask } from './awaited-task.ts';
import { ImportError } from './errors.ts';
import { beginInUse, refuseForeign, releaseInUse } from './image-in-use.ts';
import type { FoundPlace } from './image-places.ts';
import { savePlaces } from './image-places.ts';
import { digestsAt } from './location-flow.ts';
import { exactly, promiseRoom } from './promised-room.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { stageName } from './stage-context.ts';
import { groupOf } from './task-group.ts';

/** The name under which the engine knows the flow. */
export const PLACES_FLOW = 'change_locations';
const TASK_TYPE = 'location_import';

/** Other places for an image that has data, some of which it did not have. */
export interface PlacesCall {
  readonly image: ImageRecord;
  /** All places that it is to have. */
  readonly locations: readonly ImageLocation[];
  /** Those that it did not have, by their URLs. */
  readonly added: ReadonlyMap<string, FoundPlace>;
  readonly asker: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
}

/** What is done: the input of the job. */
type PlacesInput = {
  readonly task_type: string;
  readonly image_id: string;
  readonly added: readonly { readonly store: string; readonly place: string; readonly size: number }[];
  /** JSON of the places that the image had, and of those that it is to have. */
  readonly before: string;
  readonly after: string;
  /** In hex; null: not known. */
  readonly sha512: string | null;
  readonly md5: string | null;
};

/**
 * Is there a digest to hold the data at further places of the image against? Throws `conflict` while that is still being
 * computed.
 */
export function hasDigests({ id, status, osHashAlgo, osHashValue, checksum }: ImageRecord): boolean {
  if (status === 'queued') return false;
  if (osHashAlgo !== null && osHashValue === null) {
    throw new ImportError('conflict', `The digest of image ${id} is still being computed; it gets no location before`);
  }
  return (osHashAlgo === 'sha512' && osHashValue !== null) || checksum !== null;
}

/**
 * Gives an image other places when the data at those that it did not have was read and has the image's digest: all of
 * them in one transaction, by a task that goes on whether its caller waits or not. Meanwhile the image stays as it is, and
 * in use. Throws `conflict`, `over_quota`, and `TaskFailedError`: `hash_mismatch`, `gone`, what the stores throw.
 */
export async function changeVerified<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  call: PlacesCall,
): Promise<ImageRecord> {
  const { image, added, asker } = call;
  const taskId = randomUUID();
  await parts.catalog.transaction(async ({ images, tasks, reservations, transaction }) => {
    const current = await images.get(image.id);
    refuseChanged(current, JSON.stringify(image.locations));
    const properties = { ...current.properties, [IMPORT_TASK_PROPERTY]: taskId };
    const locked = await images.save(current, { properties });
    const growth = bytesInStores({ ...locked, locations: call.locations }) - bytesInStores(locked);
    await promiseRoom({ reservations }, image.id, { needed: [exactly(Math.max(0, growth))] });
    await tasks.insert({
      id: taskId,
      type: TASK_TYPE,
      input: { image_id: image.id, location_urls: [...added.keys()] },
      imageId: image.id,
      ...asker,
    });
    await engine.submit({ id: taskId, flow: PLACES_FLOW, input: jobInput(call), ...groupOf(asker) }, transaction);
  });
  await awaitTask(parts, engine, taskId);
  return parts.catalog.images.get(image.id);
}

function jobInput({ image, locations, added }: PlacesCall): PlacesInput {
  const { osHashAlgo, osHashValue, checksum } = image;
  return {
    task_type: TASK_TYPE,
    image_id: image.id,
    added: [...added.values()].map(({ place, sizeBytes }) => ({
      store: place.store,
      place: place.location,
      size: sizeBytes,
    })),
    before: JSON.stringify(image.locations),
    after: JSON.stringify(locations),
    sha512: osHashAlgo === 'sha512' ? osHashValue : null,
    md5: checksum,
  };
}

/** Throws `conflict` when the image lies elsewhere than its places were planned from, or something is at work on it. */
function refuseChanged({ status, locations, properties }: ImageRecord, before: string): void {
  const task = properties[IMPORT_TASK_PROPERTY];
  if (task !== undefined) throw new ImportError('conflict', `Task ${task} is at work on the image`);
  if (status === 'active' && JSON.stringify(locations) === before) return;
  throw new ImportError('conflict', 'The image was changed by somebody else in the meantime');
}

/** Reads what lies at the added places, and names them when it is what the image holds. */
export function placesFlow<T>(parts: ImportParts<T>): FlowFactory {
  return (job): Flow => {
    const of: StageOf = { taskId: job.id, taskType: TASK_TYPE, imageRepo: parts.catalog.images };
    const { steps } = linearFlow<PlacesInput>().add(compareStep(parts, of)).add(nameStep(parts, of));
    return { steps, conclude: (conclusion) => releaseInUse(parts, job.id, conclusion) };
  };
}

function compareStep<T>(parts: ImportParts<T>, of: StageOf): Step<PlacesInput, { readonly compared: true }> {
  return {
    name: stageName('Hash', of),
    async execute(input, context) {
      await beginInUse(parts, of, input.image_id);
      for (const place of input.added) refuseOther(input, await digestsAt(parts, place, context));
      return { compared: true };
    },
  };
}

/** Throws `hash_mismatch` for other data than the image's. The SHA-512 says enough where it is known. */
function refuseOther({ sha512, md5 }: PlacesInput, found: { readonly sha512: string; readonly md5: string }): void {
  const isSame = sha512 === null ? md5 === found.md5 : sha512 === found.sha512;
  if (isSame) return;
  const known = sha512 === null ? 'MD5' : 'SHA-512';
  throw new ImportError('hash_mismatch', `The data at the location has another ${known} than the image`);
}

function nameStep<T>(parts: ImportParts<T>, of: StageOf): Step<PlacesInput, { readonly named: true }> {
  return {
    name: stageName('Keep', of),
    pivot: true,
    async execute(input) {
      await parts.catalog.transaction(async (inside) => {
        const task = await inside.tasks.get(of.taskId);
        if (task.status === 'success') return;
        const image = await inside.images.get(input.image_id);
        refuseForeign(image, of.taskId);
        const { [IMPORT_TASK_PROPERTY]: _lock, ...properties } = image.properties;
        const locations = JSON.parse(input.after) as readonly ImageLocation[];
        if (JSON.stringify(image.locations) !== input.before) {
          throw new ImportError('conflict', 'The image got other locations while they were read');
        }
        await savePlaces(inside, image, { locations, properties });
        await inside.tasks.save(task, {
          status: 'success',
          result: { image_id: image.id },
          expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
        });
      });
      return { named: true };
    },
  };
}
