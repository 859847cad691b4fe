import {
  FAILED_STORES_PROPERTY,
  formAt,
  IMPORTING_STORES_PROPERTY,
  IMPORT_TASK_PROPERTY,
} from '../../catalog/image.ts';
import type { ImageRecord } from '../../catalog/image.ts';
import type { NewTask, TaskDocument, TaskRecord } from '../../catalog/task.ts';
import type { Engine } from '../../flow/engine.ts';
import { checkedId } from '../../staging/scratch.ts';
import { IMPORT_ERROR_PROPERTY } from '../conclude.ts';
import { ImportError } from '../errors.ts';
import { readerOf } from '../format-table.ts';
import { WRAPPING_CONTAINERS } from '../image-data.ts';
import type { ImportParts } from '../stage-context.ts';
import { groupOf } from '../task-group.ts';
import type { StoreWish } from '../wanted-stores.ts';
import { wantedStores } from '../wanted-stores.ts';
import { promiseAsked } from './room.ts';
import type { CopyForm, CopyInput } from './state.ts';

/** The name under which the engine knows the flow of copies. */
export const COPY_FLOW = 'copy-image';

/** Stores that somebody wants an image to be in besides those that have it. */
export interface WantedCopy extends Omit<StoreWish, 'conversionFormat'> {
  readonly taskId: string;
  readonly taskInput: TaskDocument;
  readonly imageId: string;
  /** True unless said otherwise. */
  readonly allStoresMustSucceed?: boolean;
  readonly asker: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
}

/** Attempts of one copy have numbers below this. */
const ATTEMPTS = 10_000;

/**
 * Records lock, task and job in one transaction. Of all stores, those that have the image already are left out; when none
 * is left there is nothing to do, and no task. Throws `invalid_value`, also for a named store that has the image, `conflict`,
 * and `over_quota` when there certainly is no room.
 */
export async function submitCopy<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  wanted: WantedCopy,
): Promise<TaskRecord | undefined> {
  const asked = wantedStores(parts, wanted);
  return parts.catalog.transaction(async ({ images, tasks, reservations, transaction }) => {
    const image = await images.get(checkedId(wanted.imageId));
    refuseImage(image);
    const stores = missingStores(image, asked, wanted);
    if (stores.length === 0) return undefined;
    const { [FAILED_STORES_PROPERTY]: _failed, [IMPORT_ERROR_PROPERTY]: _error, ...properties } = image.properties;
    const lock = { [IMPORT_TASK_PROPERTY]: wanted.taskId, [IMPORTING_STORES_PROPERTY]: stores.join(',') };
    await images.save(image, { properties: { ...properties, ...lock } });
    const task = await tasks.insert({
      id: checkedId(wanted.taskId),
      type: 'api_image_import',
      input: wanted.taskInput,
      imageId: image.id,
      ...wanted.asker,
    });
    const input: CopyInput = {
      task_type: task.type,
      image_id: image.id,
      forms: copyForms(parts, image, stores),
      stores,
      all_stores_must_succeed: wanted.allStoresMustSucceed ?? true,
      // Every save of the image has a revision of its own; uploads and imports are named after far smaller numbers.
      attempt_base: image.revision * ATTEMPTS,
    };
    await promiseAsked(parts, { reservations }, { image, input });
    await engine.submit({ id: task.id, flow: COPY_FLOW, input, ...groupOf(task) }, transaction);
    return task;
  });
}

function refuseImage({ status, locations, properties }: ImageRecord): void {
  if (status !== 'active' || locations.length === 0) {
    throw new ImportError('conflict', `The image is ${status}; only images with status active can be copied`);
  }
  const lock = properties[IMPORT_TASK_PROPERTY];
  if (lock !== undefined) throw new ImportError('conflict', `Task ${lock} is at work on the image`);
}

function missingStores({ locations }: ImageRecord, asked: readonly string[], wanted: WantedCopy): readonly string[] {
  const present = new Set(locations.map(({ store }) => store));
  const there = asked.find((id) => present.has(id));
  if (there !== undefined && wanted.allStores !== true) {
    throw new ImportError('invalid_value', `Image is already present at store '${there}'`);
  }
  return asked.filter((id) => !present.has(id));
}

/** What the stores get: each the format that it wants, from a place that has it, or converted where none has. */
function copyForms<T>(
  { settings, tools }: ImportParts<T>,
  image: ImageRecord,
  stores: readonly string[],
): readonly CopyForm[] {
  const reader = readerOf(image.diskFormat ?? '');
  const isConvertible =
    reader !== undefined && tools.readable.includes(reader) && !WRAPPING_CONTAINERS.has(image.containerFormat ?? '');
  const formats = new Set(image.locations.map((place) => formAt(image, place).diskFormat));
  const forms = new Map<string, CopyForm>();
  for (const store of stores) {
    const wish = settings.storeFormats[store];
    const isWanted = wish !== undefined && wish !== reader && isConvertible;
    const from = isWanted && formats.has(wish) ? wish : null;
    const format = isWanted && from === null ? wish : null;
    const key = format ?? `copy${from === null ? '' : `-${from}`}`;
    const options = format === null ? {} : (settings.targetOptions[format] ?? {});
    const others = forms.get(key)?.stores ?? [];
    const form = { key, from, conversion_format: format, conversion_options: options, stores: [...others, store] };
    forms.set(key, form);
  }
  return [...forms.values()];
}
