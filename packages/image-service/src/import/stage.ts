import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Step } from '../flow/step.ts';
import { bringSource } from './bring-source.ts';
import { ImportError } from './errors.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { ImportInput, Staged } from './state.ts';

/**
 * Brings the bytes into the scratch directory and the image into the state `importing`. The source is copied, because
 * what is converted must not change on the way; what lies in a container is taken out of the copy.
 */
export function stageStep<T>(parts: ImportParts<T>, of: StageOf): Step<ImportInput, Staged> {
  const { staging, settings, tools } = parts;
  const unpackedPath = (input: ImportInput): Promise<string> => staging.pathOf(of.taskId, `${input.image_id}.unpacked`);
  const stagedPath = (input: ImportInput): Promise<string> => staging.pathOf(of.taskId, `${input.image_id}.staged`);
  return {
    name: stageName('Stage', of),
    async execute(input, { jobId, signal, report }) {
      await beginImport(parts, of, input.image_id);
      const path = await stagedPath(input);
      const { maxImageSize: maxBytes } = settings;
      try {
        const onBytes = inPhase('stage', report);
        const { sizeBytes } = await bringSource(parts, input, { owner: jobId, to: path, maxBytes, signal, onBytes });
        const staged = { file_path: path, source_path: path, source_size: sizeBytes };
        if (input.unpack === undefined) return staged;
        const { entry } = input.unpack;
        const unpacked = await unpackedPath(input);
        await tools.unpack(path, unpacked, { entry, maxBytes, signal, onBytes: inPhase('unpack', report) });
        return { ...staged, file_path: unpacked };
      } finally {
        staging.release(jobId);
      }
    },
    async revert(input) {
      if (input.unpack !== undefined) await staging.discard(await unpackedPath(input));
      await staging.discard(await stagedPath(input));
    },
  };
}

/** The image becomes `importing` and its task `processing`, both or neither; again for the same task it changes nothing. */
async function beginImport<T>(parts: ImportParts<T>, of: StageOf, imageId: string): Promise<void> {
  await parts.catalog.transaction(async ({ images, tasks }) => {
    const image = await images.get(imageId);
    const locked = image.properties[IMPORT_TASK_PROPERTY] === of.taskId;
    if (!locked || !['queued', 'uploading', 'importing'].includes(image.status)) {
      throw new ImportError('conflict', `The image is ${image.status} and not waiting for this import`);
    }
    if (image.status !== 'importing') await images.save(image, { status: 'importing' });
    const task = await tasks.get(of.taskId);
    if (task.status === 'pending') await tasks.save(task, { status: 'processing' });
  });
}
