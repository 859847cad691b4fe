import { ImageError } from '@diskmorph/disk-image';
import type { Step, StepContext } from '../../flow/step.ts';
import type { ImageStore } from '../../store/store.ts';
import { ImportError } from '../errors.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { inPhase, stageName } from '../stage-context.ts';
import type { Verified } from '../state.ts';
import type { ConversionInput, Placed } from './state.ts';
import { placeName } from './state.ts';

type PlaceInput = ConversionInput & { readonly file_path: string } & Verified;

/**
 * Puts the result into one store, beside what lies there, under a name of this attempt. Throws `corrupt` when what was
 * converted is not what was stored once.
 */
export function placeStep<T>(parts: ImportParts<T>, of: StageOf, storeId: string): Step<PlaceInput, Placed> {
  return {
    name: `${stageName('Store', of)}-${storeId}`,
    async execute(input, context) {
      refuseDamaged(input);
      const store = parts.stores.get(storeId);
      if (store === undefined) throw new ImportError('invalid_value', `There is no store "${storeId}"`);
      await removeAttempts(parts, store, input.image_id);
      const location = await put(store, input, context);
      return { filled_stores: [...input.filled_stores, { store: storeId, location }] };
    },
    async revert(input) {
      const store = parts.stores.get(storeId);
      await store?.discardUnfinished(input.image_id);
      if (store !== undefined) await removeAttempts(parts, store, input.image_id);
    },
  };
}

function refuseDamaged({ before, source_hash }: PlaceInput): void {
  if (before.sha512 === null || before.sha512 === source_hash) return;
  throw new ImageError('corrupt', 'The stored data has another SHA-512 than when it was stored');
}

async function put(store: ImageStore, input: PlaceInput, { epoch, signal, report }: StepContext): Promise<string> {
  const { image_id: imageId, file_path: path, size: sizeBytes, attempt_base: base } = input;
  const onBytes = inPhase(`store ${store.id}`, report);
  const owner = { imageId, epoch: base + epoch };
  return (await store.put(owner, { path, sizeBytes }, { signal, onBytes })).location;
}

/** Removes what earlier attempts have stored: neither named by the record nor given up by it and perhaps still read. */
async function removeAttempts<T>({ catalog }: ImportParts<T>, store: ImageStore, imageId: string): Promise<void> {
  const { locations } = await catalog.images.get(imageId);
  const kept = new Set([...locations, ...(await catalog.blobRemovals.list())].map(placeName));
  for (const location of await store.blobsOf(imageId)) {
    if (!kept.has(placeName({ store: store.id, location }))) await store.delete(location);
  }
}
