import type { ImageLocation, ImageRecord } from '../../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../../catalog/image.ts';
import type { CatalogInTransaction } from '../../catalog/repositories.ts';
import type { NewTask, TaskDocument, TaskRecord } from '../../catalog/task.ts';
import type { Engine } from '../../flow/engine.ts';
import { checkedId } from '../../staging/scratch.ts';
import { readerFor } from '../convert.ts';
import { ImportError } from '../errors.ts';
import { WRAPPING_CONTAINERS } from '../image-data.ts';
import { diskFormatOf, readerNamed } from '../format-table.ts';
import type { ResultBytes } from '../promised-room.ts';
import { exactly } from '../promised-room.ts';
import type { ImportParts } from '../stage-context.ts';
import { groupOf } from '../task-group.ts';
import { chosenWriter, leastBytes } from '../target-choice.ts';
import { CONVERSION_FLOW, CONVERSION_TASK } from './flow.ts';
import type { ConversionInput } from './state.ts';
import { promiseReplaced } from './room.ts';
import { placeName } from './state.ts';

/** What somebody wants made of an image that there is. */
export interface WantedConversion {
  readonly taskId: string;
  readonly taskInput: TaskDocument;
  readonly imageId: string;
  /** A disk_format, or another name of one. */
  readonly format: string;
  /** How the result is made; as configured for the format when absent. */
  readonly options?: Readonly<Record<string, string>>;
  /** `bare` when absent. */
  readonly containerFormat?: string;
  /** `always`: also when the image has that format already. */
  readonly rewrite: 'when-different' | 'always';
  readonly asker: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
}

/** Attempts of one conversion have numbers below this. */
const ATTEMPTS = 10_000;

/**
 * Records lock, task and job in one transaction, after checking everything that can be known before work starts. An image
 * that has the format already is left alone, and its task has ended. Throws `invalid_value`, `not_convertible`, `conflict`,
 * `over_quota`.
 */
export async function submitConversion<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  wanted: WantedConversion,
): Promise<TaskRecord> {
  const target = checkedTarget(parts, wanted);
  return parts.catalog.transaction(async (catalog) => {
    const image = await catalog.images.get(checkedId(wanted.imageId));
    refuseImage(image);
    const reader = readerFor(image.diskFormat ?? '', parts.tools.readable);
    const task = await catalog.tasks.insert({
      id: checkedId(wanted.taskId),
      type: CONVERSION_TASK,
      input: wanted.taskInput,
      imageId: image.id,
      ...wanted.asker,
    });
    if (reader === target.format && wanted.rewrite === 'when-different') {
      return endUnchanged(parts, catalog, task);
    }
    await catalog.images.save(image, { properties: { ...image.properties, [IMPORT_TASK_PROPERTY]: task.id } });
    const input = conversionInput(parts, { image, target, wanted });
    await promiseReplaced(catalog, image, { stores: input.stores, result: leastResult(parts, target, image) });
    await engine.submit({ id: task.id, flow: CONVERSION_FLOW, input, ...groupOf(task) }, catalog.transaction);
    return task;
  });
}

interface Target {
  /** The name of the writer. */
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
}

function checkedTarget<T>({ tools, settings }: ImportParts<T>, wanted: WantedConversion): Target {
  const options = wanted.options ?? settings.targetOptions[readerNamed(wanted.format) ?? ''] ?? {};
  const format = chosenWriter(tools, { format: wanted.format, options });
  if (!settings.diskFormats.includes(diskFormatOf(format))) {
    throw new ImportError('invalid_value', `"${wanted.format}" is no disk_format of this service`);
  }
  const container = wanted.containerFormat ?? 'bare';
  if (!settings.containerFormats.includes(container)) {
    throw new ImportError('invalid_value', `"${container}" is no container_format of this service`);
  }
  return { format, options };
}

/** What is known of the result before anything is read. */
function leastResult<T>({ tools }: ImportParts<T>, target: Target, { virtualSize }: ImageRecord): ResultBytes {
  return exactly(leastBytes(tools, target, virtualSize));
}

function refuseImage({ id, status, properties, locations, containerFormat }: ImageRecord): void {
  const lock = properties[IMPORT_TASK_PROPERTY];
  if (lock !== undefined) throw new ImportError('conflict', `Task ${lock} is at work on image ${id}`);
  if (status !== 'active' || locations.length === 0) {
    throw new ImportError('conflict', `Image ${id} is ${status}; only an active one with data can be converted`);
  }
  if (WRAPPING_CONTAINERS.has(containerFormat ?? '')) {
    throw new ImportError('not_convertible', `An image in a container (${containerFormat}) cannot be converted`);
  }
}

async function endUnchanged<T>(
  parts: ImportParts<T>,
  { tasks }: CatalogInTransaction<T>,
  task: TaskRecord,
): Promise<TaskRecord> {
  const running = await tasks.save(task, { status: 'processing' });
  return tasks.save(running, {
    status: 'success',
    result: { image_id: task.imageId },
    message: 'not converted: the image has that format already; "force" writes it anew',
    expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
  });
}

function conversionInput<T>(
  parts: ImportParts<T>,
  conversion: { readonly image: ImageRecord; readonly target: Target; readonly wanted: WantedConversion },
): ConversionInput {
  const { image, target, wanted } = conversion;
  return {
    task_type: CONVERSION_TASK,
    image_id: image.id,
    import_from: '',
    conversion_format: target.format,
    conversion_options: target.options,
    same_format: 'convert',
    container_format_after: wanted.containerFormat ?? 'bare',
    stores: storesFor(parts, image.locations),
    all_stores_must_succeed: true,
    // Every save of the image has a revision of its own; uploads and imports are named after far smaller numbers.
    attempt_base: image.revision * ATTEMPTS,
    before: {
      sha512: image.osHashAlgo === 'sha512' ? image.osHashValue : null,
      places: image.locations.map(placeName),
    },
  };
}

/** Where the result goes: where the image lies, as far as something can be put there; else into the default store. */
function storesFor<T>({ stores, settings }: ImportParts<T>, places: readonly ImageLocation[]): readonly string[] {
  const writable = places.map(({ store }) => store).filter((id) => stores.get(id)?.readOnly === false);
  return writable.length === 0 ? [settings.defaultStore] : [...new Set(writable)];
}
