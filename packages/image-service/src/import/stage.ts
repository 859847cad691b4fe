import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Step } from '../flow/step.ts';
import { comingPath } from '../staging/resumed-file.ts';
import { bringSource } from './bring-source.ts';
import { declaredFormats } from './convert.ts';
import { ImportError } from './errors.ts';
import { WRAPPING_CONTAINERS } from './image-data.ts';
import type { ImageTools } from './image-tools.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { DescribedSource, ImportInput, Staged } from './state.ts';

/**
 * Brings the bytes into the scratch directory and the image into the state `importing`. The source is copied, because
 * what is converted must not change on the way; what lies in a container is taken out of the copy.
 */
export function stageStep<T>(parts: ImportParts<T>, of: StageOf): Step<ImportInput, Staged> {
  const { staging, settings } = parts;
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
        const brought = await bringSource(parts, input, { owner: jobId, to: path, maxBytes, signal, onBytes });
        const { sizeBytes, ...more } = brought;
        const staged = { source_path: path, source_size: sizeBytes, ...more };
        const unpacking = await unpackingOf(parts, of, { input, path, described: more.described });
        if (unpacking === undefined) return { ...staged, file_path: path, image_path: path };
        const unpacked = await unpackedPath(input);
        await parts.tools.unpack(path, unpacked, { ...unpacking, signal, onBytes: inPhase('unpack', report) });
        return { ...staged, file_path: unpacked, image_path: unpacked };
      } finally {
        await staging.release(jobId);
      }
    },
    async revert(input) {
      if (input.unpack !== undefined || input.decompress !== undefined) {
        await staging.discard(await unpackedPath(input));
      }
      const path = await stagedPath(input);
      await staging.discard(comingPath(path));
      await staging.discard(path);
    },
  };
}

type Unpacking = Pick<Parameters<ImageTools['unpack']>[2], 'entry' | 'maxBytes' | 'maxRatio'>;

interface BroughtImage {
  readonly input: ImportInput;
  readonly path: string;
  readonly described: DescribedSource | undefined;
}

/** How the image is taken out of its container; undefined when it is in none, or is to stay in it. */
async function unpackingOf<T>(
  { tools, settings }: ImportParts<T>,
  of: StageOf,
  { input, path, described }: BroughtImage,
): Promise<Unpacking | undefined> {
  if (input.unpack !== undefined) return { ...input.unpack, maxBytes: settings.maxImageSize };
  if (input.decompress === undefined) return undefined;
  const { image_id } = input;
  const { diskFormat, containerFormat } = await declaredFormats(of, {
    image_id,
    ...(described === undefined ? {} : { described }),
  });
  if (WRAPPING_CONTAINERS.has(containerFormat) || KEPT_DISKS.has(diskFormat)) return undefined;
  if (!(await tools.isPacked(path))) return undefined;
  return { entry: null, maxBytes: input.decompress.max_bytes, maxRatio: input.decompress.max_ratio };
}

/** Parts of a machine that are compressed by their nature: kernels, ramdisks. */
const KEPT_DISKS: ReadonlySet<string> = new Set(['aki', 'ari', 'ami']);

/**
 * The image becomes `importing` and its task `processing`, both or neither; again for the same task it changes nothing. An
 * image that was given its data directly stays `saving`, as clients know it.
 */
async function beginImport<T>(parts: ImportParts<T>, of: StageOf, imageId: string): Promise<void> {
  await parts.catalog.transaction(async ({ images, tasks }) => {
    const image = await images.get(imageId);
    const locked = image.properties[IMPORT_TASK_PROPERTY] === of.taskId;
    if (!locked || !['queued', 'uploading', 'saving', 'importing'].includes(image.status)) {
      throw new ImportError('conflict', `The image is ${image.status} and not waiting for this import`);
    }
    if (image.status === 'queued' || image.status === 'uploading') await images.save(image, { status: 'importing' });
    const task = await tasks.get(of.taskId);
    if (task.status === 'pending') await tasks.save(task, { status: 'processing' });
  });
}
