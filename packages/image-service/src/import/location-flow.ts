import { randomUUID } from 'node:crypto';
import type { ImageChanges, ImageRecord, LocationMetadata } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { ImageRepo } from '../catalog/repositories.ts';
import type { NewTask } from '../catalog/task.ts';
import type { Engine } from '../flow/engine.ts';
import type { Conclusion, Flow, FlowFactory, Step, StepContext } from '../flow/step.ts';
import { linearFlow } from '../flow/step.ts';
import { existing, failTask } from './conclude.ts';
import { ImportError } from './errors.ts';
import type { FoundPlace, WantedPlace } from './image-places.ts';
import { findPlace } from './image-places.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import { storeOf } from './store-filling.ts';
import { groupOf } from './task-group.ts';

/** The name under which the engine knows the flow. */
export const LOCATION_FLOW = 'add_location';
/** The algorithm of `os_hash_value`. */
const HASH_ALGORITHM = 'sha512';

/** Digests that a caller says the data has. SHA-512, in hex. */
export interface ClaimedDigests {
  readonly osHashValue: string;
}

/** A location that a caller adds to an image that has no data yet. */
export interface LocationCall {
  readonly image: ImageRecord;
  readonly wanted: WantedPlace;
  readonly claimed: ClaimedDigests | undefined;
  /** `read`: the service computes the digests itself. */
  readonly digests: 'read' | 'trust';
  readonly asker: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
}

/** What the digests are computed for: the input of the job. */
type LocationInput = {
  readonly task_type: string;
  readonly image_id: string;
  readonly store: string;
  readonly place: string;
  readonly size: number;
  readonly virtual_size: number | null;
  /** JSON of what the caller noted about the place; null: nothing. */
  readonly metadata: string | null;
  /** What the digest must be; null: the image is active already, and its digest is only told. */
  readonly claimed: string | null;
};

type Hashed = { readonly checksum: string; readonly os_hash_value: string };

/**
 * Gives a queued image the data at a location. It is active at once, unless the caller says which digest the data has and the
 * service computes it: then when they agree. Digests are computed by a task. Throws `conflict`, and as `findPlace`.
 */
export async function addLocation<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  call: LocationCall,
): Promise<{ readonly image: ImageRecord; readonly found: FoundPlace }> {
  refuseUnlessEmpty(call.image);
  const found = await findPlace(parts, call.image, call.wanted);
  const image = await parts.catalog.transaction(async ({ images, tasks, transaction }) => {
    const current = await images.get(call.image.id);
    refuseUnlessEmpty(current);
    const taskId = randomUUID();
    const changed = await images.save(current, beginning(current, { call, found, taskId }));
    if (call.digests === 'trust') return changed;
    const input = jobInput(call, found);
    await tasks.insert({
      id: taskId,
      type: 'location_import',
      input: { image_id: current.id, location_url: call.wanted.url },
      imageId: current.id,
      ...call.asker,
    });
    await engine.submit({ id: taskId, flow: LOCATION_FLOW, input, ...groupOf(call.asker) }, transaction);
    return changed;
  });
  return { image, found };
}

function refuseUnlessEmpty({ id, status, properties }: ImageRecord): void {
  if (status !== 'queued')
    throw new ImportError('conflict', `Image ${id} is ${status}; only a queued one gets a location`);
  const task = properties[IMPORT_TASK_PROPERTY];
  if (task !== undefined) throw new ImportError('conflict', `Image ${id} is being imported by task ${task}`);
}

interface Beginning {
  readonly call: LocationCall;
  readonly found: FoundPlace;
  readonly taskId: string;
}

function beginning(image: ImageRecord, { call, found, taskId }: Beginning): ImageChanges {
  if (call.digests === 'read' && call.claimed !== undefined) {
    return { status: 'importing', properties: { ...image.properties, [IMPORT_TASK_PROPERTY]: taskId } };
  }
  // An algorithm without a value tells callers that the value is still to come.
  const known = call.digests === 'read' || call.claimed !== undefined;
  return {
    status: 'active',
    size: found.sizeBytes,
    virtualSize: found.virtualSize,
    locations: [found.place],
    osHashAlgo: known ? HASH_ALGORITHM : null,
    osHashValue: call.claimed?.osHashValue ?? null,
  };
}

function jobInput({ image, claimed }: LocationCall, { place, sizeBytes, virtualSize }: FoundPlace): LocationInput {
  return {
    task_type: 'location_import',
    image_id: image.id,
    store: place.store,
    place: place.location,
    size: sizeBytes,
    virtual_size: virtualSize,
    metadata: place.metadata === undefined ? null : JSON.stringify(place.metadata),
    claimed: claimed?.osHashValue ?? null,
  };
}

/** Reads what lies at a location, and keeps its digests. */
export function locationFlow<T>(parts: ImportParts<T>): FlowFactory {
  return (job): Flow => {
    const { task_type: taskType } = job.input as LocationInput;
    const of: StageOf = { taskId: job.id, taskType, imageRepo: parts.catalog.images };
    const { steps } = linearFlow<LocationInput>().add(hashStep(parts, of)).add(keepStep(parts, of));
    return { steps, conclude: (conclusion) => concludeLocation(parts, job.id, conclusion) };
  };
}

function hashStep<T>(parts: ImportParts<T>, of: StageOf): Step<LocationInput, Hashed> {
  return {
    name: stageName('Hash', of),
    async execute(input, context) {
      await beginTask(parts, of.taskId);
      const digests = await digestsAt(parts, input, context);
      if (input.claimed !== null && input.claimed !== digests.sha512) {
        throw new ImportError(
          'hash_mismatch',
          'The data at the location has another SHA-512 than validation_data says',
        );
      }
      return { checksum: digests.md5, os_hash_value: digests.sha512 };
    },
  };
}

/** Bytes at a place. */
interface BytesAtPlace {
  readonly store: string;
  readonly place: string;
  readonly size: number;
}

/** Reads what lies there. Throws `gone` for another number of bytes, `invalid_value`, and what the store throws. */
export async function digestsAt<T>(
  parts: ImportParts<T>,
  { store: storeId, place, size }: BytesAtPlace,
  { signal, report }: StepContext,
): Promise<{ readonly md5: string; readonly sha512: string }> {
  const read = storeOf(parts, storeId).read(place, undefined, signal);
  const hashed = parts.staging.hashed(read, ['md5', HASH_ALGORITHM]);
  const onBytes = inPhase('hash', report);
  let done = 0;
  for await (const piece of hashed.bytes) {
    done += piece.length;
    if (done > size) break;
    onBytes(done, size);
  }
  if (done !== size) throw new ImportError('gone', `The location no longer holds ${size} bytes`);
  return (await hashed.result()).digests;
}

async function beginTask<T>({ catalog }: ImportParts<T>, taskId: string): Promise<void> {
  const task = await catalog.tasks.get(taskId);
  if (task.status === 'pending') await catalog.tasks.save(task, { status: 'processing' });
}

function keepStep<T>(parts: ImportParts<T>, of: StageOf): Step<LocationInput & Hashed, { readonly kept: true }> {
  return {
    name: stageName('Keep', of),
    pivot: true,
    async execute(input) {
      await parts.catalog.transaction(async ({ images, tasks }) => {
        const task = await tasks.get(of.taskId);
        if (task.status === 'success') return;
        const image = await images.get(input.image_id);
        await images.save(image, ending(image, of.taskId, input));
        await tasks.save(task, {
          status: 'success',
          result: { image_id: image.id },
          expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
        });
      });
      return { kept: true };
    },
  };
}

function ending(image: ImageRecord, taskId: string, input: LocationInput & Hashed): ImageChanges {
  const digests = { checksum: input.checksum, osHashAlgo: HASH_ALGORITHM, osHashValue: input.os_hash_value };
  const { [IMPORT_TASK_PROPERTY]: holder, ...properties } = image.properties;
  if (image.status === 'importing' && holder === taskId) {
    const metadata = input.metadata === null ? {} : { metadata: JSON.parse(input.metadata) as LocationMetadata };
    const locations = [{ store: input.store, location: input.place, ...metadata }];
    const { size, virtual_size: virtualSize } = input;
    return { status: 'active', size, virtualSize, locations, properties, ...digests };
  }
  if (awaitsDigests(image, input)) return digests;
  throw new ImportError('gone', 'The image changed while its data was read');
}

/** The image still has the data that is being read, and nobody has said what its digest is. */
function awaitsDigests(image: ImageRecord, { store, place }: Pick<LocationInput, 'store' | 'place'>): boolean {
  const there = image.locations.some((each) => each.store === store && each.location === place);
  return there && image.osHashValue === null && image.status !== 'deleted';
}

async function concludeLocation<T>(parts: ImportParts<T>, taskId: string, conclusion: Conclusion): Promise<void> {
  if (conclusion.kind === 'succeeded') return;
  const input = conclusion.state as LocationInput;
  await parts.catalog.transaction(async ({ images, tasks }) => {
    await releaseImage(images, taskId, input);
    await failTask(tasks, { taskId, conclusion, expiresAt: parts.now() + parts.settings.taskTimeToLiveMs });
  });
}

async function releaseImage(images: ImageRepo, taskId: string, input: LocationInput): Promise<void> {
  const image = await existing(images.get(input.image_id));
  if (image === undefined) return;
  const { [IMPORT_TASK_PROPERTY]: holder, ...properties } = image.properties;
  if (image.status === 'importing' && holder === taskId) await images.save(image, { status: 'queued', properties });
  else if (awaitsDigests(image, input)) await images.save(image, { osHashAlgo: null });
}
