import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { ImageRecord, ImageStatus, NewImage } from '../catalog/image.ts';
import type { ImageRepo } from '../catalog/repositories.ts';
import type { NewTask, TaskDocument, TaskRecord } from '../catalog/task.ts';
import type { Engine } from '../flow/engine.ts';
import type { RemoteSource } from '../remotes/remote-images.ts';
import { checkedId } from '../staging/scratch.ts';
import { localPath } from '../staging/source-url.ts';
import { readerFor } from './convert.ts';
import { ImportError } from './errors.ts';
import { IMPORT_FLOW } from './flow.ts';
import { DISK_FORMAT_NAMES, readerOf } from './format-table.ts';
import type { ImportParts, ImportSettings } from './stage-context.ts';
import { groupOf } from './task-group.ts';
import type { ImportInput, ImportMethod } from './state.ts';
import type { StoreWish, WantedForms } from './wanted-stores.ts';
import { conversionsOf, wantedForms, wantedStores } from './wanted-stores.ts';

/** What somebody wants imported. */
export interface WantedImport extends StoreWish {
  readonly taskId: string;
  readonly taskType: TaskRecord['type'];
  /** What the task says it was asked for. */
  readonly taskInput: TaskDocument;
  /** A new image, or the id of one that is `queued`. */
  readonly image: (NewImage & { readonly diskFormat: string }) | string;
  /** An absolute path or a file: URL; a web address, or what staged data is called, where `method` says so. */
  readonly importFrom: string;
  /** How callers import; absent for a file of this machine. */
  readonly method?: ImportMethod;
  /** For `glance-download`. */
  readonly remote?: RemoteSource;
  /** The only machine on which the source can be read. */
  readonly node?: string;
  /** Who asked for it, as the task keeps it. */
  readonly asker?: Omit<NewTask, 'id' | 'type' | 'input' | 'imageId'>;
  /** Properties that the image gets when it becomes active. */
  readonly injected?: Readonly<Record<string, string>>;
  /** The image lies in a container, and is to be taken out of it. */
  readonly unpack?: { readonly entry: string | null };
  /** It may lie in one. */
  readonly decompress?: ImportInput['decompress'];
  /** True unless said otherwise. */
  readonly allStoresMustSucceed?: boolean;
}

/** More than one task is ever taken up; the image has another revision when the next one begins. */
const ATTEMPTS = 10_000;

/**
 * Records image, lock, task and job in one transaction, after checking everything that can be known before work starts.
 * Throws `invalid_value`, `not_convertible`, `conflict`, `bad_source`, `bad_id`.
 */
export async function submitImport<T>(
  parts: ImportParts<T>,
  engine: Engine<T>,
  wanted: WantedImport,
): Promise<TaskRecord> {
  const { settings } = parts;
  const stores = wantedStores(parts, wanted);
  if (wanted.method === undefined) localPath(wanted.importFrom);
  const general = wanted.taskType === 'import' ? settings.conversionFormat : settings.outputFormat;
  const forms = wantedForms(settings, stores, { general, conversionFormat: wanted.conversionFormat });
  return parts.catalog.transaction(async ({ images, tasks, transaction }) => {
    const image = await recordedImage(images, wanted.image);
    refuseImage(settings, image, wanted.method);
    // What another image service has is described by that service.
    if (wanted.method !== 'glance-download') refuseUnreadable(parts, image, forms);
    const { [FAILED_STORES_PROPERTY]: _failed, ...properties } = image.properties;
    const lock = { [IMPORT_TASK_PROPERTY]: wanted.taskId, [IMPORTING_STORES_PROPERTY]: stores.join(',') };
    await images.save(image, { properties: { ...properties, ...lock } });
    const task = await tasks.insert({
      id: checkedId(wanted.taskId),
      type: wanted.taskType,
      input: wanted.taskInput,
      imageId: image.id,
      ...wanted.asker,
    });
    const input: ImportInput = {
      task_type: wanted.taskType,
      image_id: image.id,
      import_from: wanted.importFrom,
      ...(wanted.method === undefined ? {} : { import_method: wanted.method }),
      ...(wanted.unpack === undefined ? {} : { unpack: wanted.unpack }),
      ...(wanted.remote === undefined ? {} : { remote: wanted.remote }),
      ...(wanted.decompress === undefined ? {} : { decompress: wanted.decompress }),
      ...(wanted.injected === undefined ? {} : { injected: wanted.injected }),
      ...forms,
      stores,
      all_stores_must_succeed: wanted.allStoresMustSucceed ?? true,
      attempt_base: (image.revision - 1) * ATTEMPTS,
    };
    const node = wanted.node === undefined ? {} : { node: wanted.node };
    await engine.submit({ id: task.id, flow: IMPORT_FLOW, input, ...groupOf(task), ...node }, transaction);
    return task;
  });
}

/** Throws `not_convertible` when there is a conversion to make and no reader for what the image is declared to be. */
function refuseUnreadable<T>({ tools }: ImportParts<T>, { diskFormat }: ImageRecord, forms: WantedForms): void {
  const declared = diskFormat ?? '';
  if (declared === 'iso' || conversionsOf(forms).every((format) => format === readerOf(declared))) return;
  readerFor(declared, tools.readable);
}

async function recordedImage(images: ImageRepo, image: WantedImport['image']): Promise<ImageRecord> {
  return typeof image === 'string'
    ? images.get(checkedId(image))
    : images.insert({ ...image, id: checkedId(image.id) });
}

/** In which state an image waits for its import; `file`: of this machine. */
const STATUS_BEFORE: Readonly<Record<ImportMethod | 'file', ImageStatus>> = {
  'glance-direct': 'uploading',
  upload: 'saving',
  'web-download': 'queued',
  'glance-download': 'queued',
  file: 'queued',
};

function refuseImage(settings: ImportSettings, image: ImageRecord, method: ImportMethod | undefined): void {
  const { diskFormat, containerFormat, status } = image;
  const lock = image.properties[IMPORT_TASK_PROPERTY];
  if (status !== STATUS_BEFORE[method ?? 'file']) {
    const what = method === 'glance-direct' ? 'one whose data was staged' : 'a queued one';
    throw new ImportError('conflict', `The image is ${status}; only ${what} can be imported`);
  }
  if (method === 'glance-direct' && image.size === null) {
    throw new ImportError('conflict', 'The data of the image is still being staged');
  }
  if (lock !== undefined) throw new ImportError('conflict', `The image is being imported by task ${lock} already`);
  // What another image service has is described by that service.
  if (method === 'glance-download') return;
  refuseFormats(settings, { diskFormat, containerFormat });
}

/** Throws `invalid_value` for formats that are not accepted here. */
export function refuseFormats(
  settings: ImportSettings,
  { diskFormat, containerFormat }: Pick<ImageRecord, 'diskFormat' | 'containerFormat'>,
): void {
  const formats = settings.diskFormats.filter((name) => DISK_FORMAT_NAMES.includes(name));
  if (diskFormat === null || !formats.includes(diskFormat)) {
    throw new ImportError('invalid_value', `"${diskFormat}" is no disk_format; choices: ${formats.join(', ')}`);
  }
  if (containerFormat === null || !settings.containerFormats.includes(containerFormat)) {
    const choices = settings.containerFormats.join(', ');
    throw new ImportError('invalid_value', `"${containerFormat}" is no container_format; choices: ${choices}`);
  }
}
