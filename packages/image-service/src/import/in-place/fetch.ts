import type { Step } from '../../flow/step.ts';
import { ImportError } from '../errors.ts';
import { beginInUse, countedBytes } from '../image-in-use.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { inPhase, stageName } from '../stage-context.ts';
import type { Staged } from '../state.ts';
import { openStoredPlace } from '../stored-data.ts';
import type { ConversionInput } from './state.ts';

/** Copies the stored bytes into the scratch directory; the image stays as it is. */
export function fetchStep<T>(parts: ImportParts<T>, of: StageOf): Step<ConversionInput, Staged> {
  const { staging, stores } = parts;
  const pathOf = ({ image_id }: ConversionInput): Promise<string> => staging.pathOf(of.taskId, `${image_id}.stored`);
  return {
    name: stageName('Stage', of),
    async execute(input, { jobId, signal, report }) {
      const image = await beginInUse(parts, of, input.image_id);
      const place = await openStoredPlace(stores, image);
      if (place === undefined) throw new ImportError('conflict', 'The image has no data');
      const path = await pathOf(input);
      try {
        await staging.reserve(jobId, place.sizeBytes, { signal });
        const bytes = place.store.read(place.location, undefined, signal);
        const onBytes = inPhase('stage', report);
        const { sizeBytes } = await staging.receive(
          path,
          countedBytes(bytes, (done) => onBytes(done, place.sizeBytes)),
        );
        return { file_path: path, source_path: path, image_path: path, source_size: sizeBytes };
      } finally {
        await staging.release(jobId);
      }
    },
    revert: async (input) => staging.discard(await pathOf(input)),
  };
}
