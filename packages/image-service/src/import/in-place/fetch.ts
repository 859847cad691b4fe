import type { ImageRecord } from '../../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../../catalog/image.ts';
import type { Step } from '../../flow/step.ts';
import { receiveFile } from '../../staging/incoming.ts';
import { ImportError } from '../errors.ts';
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
      const image = await begin(parts, of, input.image_id);
      const place = await openStoredPlace(stores, image);
      if (place === undefined) throw new ImportError('conflict', 'The image has no data');
      const path = await pathOf(input);
      try {
        await staging.reserve(jobId, place.sizeBytes);
        const bytes = place.store.read(place.location, undefined, signal);
        const onBytes = inPhase('stage', report);
        const { sizeBytes } = await receiveFile(
          path,
          counted(bytes, (done) => onBytes(done, place.sizeBytes)),
        );
        return { file_path: path, source_path: path, image_path: path, source_size: sizeBytes };
      } finally {
        staging.release(jobId);
      }
    },
    revert: async (input) => staging.discard(await pathOf(input)),
  };
}

async function* counted(bytes: AsyncIterable<Uint8Array>, onBytes: (done: number) => void): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const piece of bytes) {
    yield piece;
    done += piece.length;
    onBytes(done);
  }
}

/** The task is `processing` from now on; again it changes nothing. Gives the image, which must still be locked for it. */
async function begin<T>({ catalog }: ImportParts<T>, { taskId }: StageOf, imageId: string): Promise<ImageRecord> {
  return catalog.transaction(async ({ images, tasks }) => {
    const image = await images.get(imageId);
    refuseForeign(image, taskId);
    const task = await tasks.get(taskId);
    if (task.status === 'pending') await tasks.save(task, { status: 'processing' });
    return image;
  });
}

/** Throws `conflict` unless the image is in use and locked for the task. */
export function refuseForeign({ status, properties }: ImageRecord, taskId: string): void {
  const isLocked = properties[IMPORT_TASK_PROPERTY] === taskId;
  if (isLocked && (status === 'active' || status === 'deactivated')) return;
  throw new ImportError('conflict', `The image became ${status} while it was converted`);
}
