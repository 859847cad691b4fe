import { ImageError } from '@diskmorph/disk-image';
import type { Step } from '../../flow/step.ts';
import type { ImageStore } from '../../store/store.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { stageName } from '../stage-context.ts';
import type { Verified } from '../state.ts';
import { putFile, storeOf, strayBlobs } from '../store-filling.ts';
import type { ConversionInput, Placed } from './state.ts';

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
      const { image_id: imageId, file_path: path, size: sizeBytes, attempt_base: attemptBase } = input;
      const store = storeOf(parts, storeId);
      await removeStray(parts, store, imageId);
      const location = await putFile(parts, { storeId, imageId, path, sizeBytes, attemptBase }, context);
      return { filled_stores: [...input.filled_stores, { store: storeId, location }] };
    },
    async revert({ image_id: imageId }) {
      const store = parts.stores.get(storeId);
      if (store === undefined) return;
      await store.discardUnfinished(imageId);
      await removeStray(parts, store, imageId);
    },
  };
}

function refuseDamaged({ before, source_hash }: PlaceInput): void {
  if (before.sha512 === null || before.sha512 === source_hash) return;
  throw new ImageError('corrupt', 'The stored data has another SHA-512 than when it was stored');
}

async function removeStray<T>(parts: ImportParts<T>, store: ImageStore, imageId: string): Promise<void> {
  for (const location of await strayBlobs(parts, store, imageId)) await store.delete(location);
}
