import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { randomUUID } from 'node:crypto';
import type { ImageRecord } from '../catalog/image.ts';
import type { ImageQuery } from '../catalog/image-query.ts';
import type { TaskQuery } from '../catalog/repositories.ts';
import type { TaskDocument, TaskRecord } from '../catalog/task.ts';
import type { Engine } from '../flow/engine.ts';
import type { JobRecord } from '../flow/job.ts';
import type { Journal } from '../flow/journal.ts';
import type { JobProgress } from '../flow/progress.ts';
import { detectDiskFormat, detectPackedFormat } from './detect.ts';
import { ImportError } from './errors.ts';
import type { ImportParts } from './stage-context.ts';
import { submitImport } from './submit.ts';

/** How far an import is. */
export interface ImportProgress {
  readonly taskId: string;
  /** `stage`, `inspect`, `convert`, `verify`, `store` or `activate`. */
  readonly stage: string;
  readonly progress: JobProgress;
}

/** How to import a file. */
export interface ImportOptions {
  /** Import into this image, which is `queued` (its last import failed), instead of a new one; it keeps name and formats. */
  readonly imageId?: string;
  /** The image's name; the file's when absent. */
  readonly name?: string;
  /** What the file is; found out from its signature when absent. */
  readonly diskFormat?: string;
  /** `bare` when absent. */
  readonly containerFormat?: string;
  /**
   * Import what lies in a container, when the file is one and was not declared to be raw bytes. `entry` chooses in an
   * archive; a format that nobody declared is found out in `directory`.
   */
  readonly unpack?: { readonly entry?: string; readonly directory: string };
  /** Instead of what the configuration says. */
  readonly conversionFormat?: string;
  /** Ids of stores; the default store when there are none. */
  readonly stores?: readonly string[];
  /** Every store in which something can be put, instead of `stores`. */
  readonly allStores?: true;
  /** True unless said otherwise. */
  readonly allStoresMustSucceed?: boolean;
  /** Gets the ids once the import is recorded: from then on it survives a crash. */
  readonly onSubmitted?: (ids: {
    readonly taskId: string;
    readonly imageId: string;
    readonly resumed: boolean;
  }) => void;
  readonly onProgress?: (progress: ImportProgress) => void;
  /** Cancels the import, which is then reverted. */
  readonly signal?: AbortSignal;
}

/** An import that has succeeded. */
export interface ImportedImage {
  readonly image: ImageRecord;
  readonly task: TaskView;
  /** True when an import of the same file that had been cut off was brought to its end. */
  readonly resumed: boolean;
}

/** A task with what the engine knows of its job. */
export interface TaskView extends TaskRecord {
  /** Null when the job is forgotten. */
  readonly job: Pick<JobRecord, 'state' | 'epoch' | 'progress' | 'warnings' | 'steps' | 'failure'> | null;
}

/** The import ended without an image; `code` and message are those of the task. */
export class ImportFailedError extends Error {
  readonly code: string;
  readonly task: TaskView;

  constructor(task: TaskView) {
    super(task.message);
    this.name = 'ImportFailedError';
    this.code = task.errorCode ?? 'internal';
    this.task = task;
  }
}

/** The engine was stopped before the import had ended; the next start goes on with it. */
export class ImportPausedError extends Error {
  readonly code = 'paused';
  readonly taskId: string;

  constructor(taskId: string) {
    super('The import was paused; it goes on at the next start');
    this.name = 'ImportPausedError';
    this.taskId = taskId;
  }
}

/** The image service without HTTP. */
export interface ImageService {
  /**
   * Imports a file of this machine. Throws what refuses it before it begins, `ImportFailedError` when it failed (then it
   * is reverted), `ImportPausedError`, and `locked` when another process is at work on the same state.
   */
  import(file: string, options?: ImportOptions): Promise<ImportedImage>;
  images(query?: ImageQuery): Promise<readonly ImageRecord[]>;
  /** Throws `not_found`. */
  image(id: string): Promise<ImageRecord>;
  tasks(query?: TaskQuery): Promise<readonly TaskView[]>;
  /** Throws `not_found`. */
  task(id: string): Promise<TaskView>;
  /** Asks for the end of an import, also of one in another process. */
  cancel(taskId: string): Promise<void>;
  /** Brings all unfinished imports to their end and gives their tasks. The signal pauses them. Throws `locked`. */
  resume(options?: Pick<ImportOptions, 'onProgress' | 'signal'>): Promise<readonly TaskView[]>;
  /** Pauses what runs and closes everything. */
  close(): Promise<void>;
}

/** What the service is put together from. */
export interface ServiceParts<T> {
  readonly parts: ImportParts<T>;
  readonly engine: Engine<T>;
  readonly journal: Journal<T>;
  readonly closeDatabase: () => Promise<void>;
}

/** The service over its parts. */
export function imageService<T>(service: ServiceParts<T>): ImageService {
  const { parts, engine, journal } = service;
  const { images, tasks } = parts.catalog;
  const view = async (task: TaskRecord): Promise<TaskView> => ({ ...task, job: jobView(await journal.get(task.id)) });
  return {
    import: (file, options = {}) => importFile(service, { file, options, view }),
    images: (query = {}) => images.list(query),
    image: (id) => images.get(id),
    tasks: async (query = {}) => Promise.all((await tasks.list(query)).map(view)),
    task: async (id) => view(await tasks.get(id)),
    cancel: (taskId) => engine.cancel(taskId),
    async resume({ onProgress, signal } = {}) {
      const ids = await journal.unfinished();
      const stopListening = listen(engine, onProgress, () => true);
      const stop = (): void => void engine.stop();
      try {
        signal?.throwIfAborted();
        signal?.addEventListener('abort', stop);
        await engine.start();
        await Promise.all(ids.map((id) => engine.wait(id)));
      } finally {
        signal?.removeEventListener('abort', stop);
        stopListening();
      }
      return Promise.all(ids.map(async (id) => view(await tasks.get(id))));
    },
    async close() {
      await engine.stop();
      await service.closeDatabase();
    },
  };
}

function jobView(job: JobRecord | undefined): TaskView['job'] {
  if (job === undefined) return null;
  const { state, epoch, progress, warnings, steps, failure } = job;
  return { state, epoch, progress, warnings, steps, failure };
}

function listen<T>(
  engine: Engine<T>,
  onProgress: ImportOptions['onProgress'],
  concerns: (jobId: string) => boolean,
): () => void {
  if (onProgress === undefined) return () => {};
  return engine.onProgress((taskId, progress) => {
    if (concerns(taskId)) onProgress({ taskId, stage: stageOf(progress.step, taskId), progress });
  });
}

/** The stage that a step is: `convert` of `import-Convert-<task id>`. */
export function stageOf(step: string, taskId: string): string {
  const before = step.split(`-${taskId}`)[0] ?? step;
  return before.slice(before.lastIndexOf('-') + 1).toLowerCase();
}

interface FileImport {
  readonly file: string;
  readonly options: ImportOptions;
  readonly view: (task: TaskRecord) => Promise<TaskView>;
}

async function importFile<T>(service: ServiceParts<T>, { file, options, view }: FileImport): Promise<ImportedImage> {
  const { parts, engine } = service;
  options.signal?.throwIfAborted();
  await engine.start();
  const { task, resumed } = await submitOrTakeUp(service, file, options);
  const imageId = task.imageId ?? '';
  options.onSubmitted?.({ taskId: task.id, imageId, resumed });
  const stopListening = listen(engine, options.onProgress, (jobId) => jobId === task.id);
  const cancel = (): void => void engine.cancel(task.id);
  options.signal?.addEventListener('abort', cancel);
  try {
    if (options.signal?.aborted === true) await engine.cancel(task.id);
    await engine.wait(task.id);
  } finally {
    options.signal?.removeEventListener('abort', cancel);
    stopListening();
  }
  const ended = await view(await parts.catalog.tasks.get(task.id));
  if (ended.status === 'failure') throw new ImportFailedError(ended);
  if (ended.status !== 'success') throw new ImportPausedError(task.id);
  return { image: await parts.catalog.images.get(imageId), task: ended, resumed };
}

/** The task of this import: a new one, or the one of an import of the same file in the same way that was cut off. */
async function submitOrTakeUp<T>(
  service: ServiceParts<T>,
  file: string,
  options: ImportOptions,
): Promise<{ readonly task: TaskRecord; readonly resumed: boolean }> {
  const { parts, engine } = service;
  const path = resolve(file);
  const unpack = await packingOf(parts, path, options);
  const diskFormat = await declaredFormat(parts, path, { ...options, packing: unpack });
  const packing = unpack === undefined ? {} : { unpack };
  const taskInput = { ...(await describeImport(path, diskFormat, options)), ...packing };
  const cutOff = await unfinishedTask(service, taskInput);
  if (cutOff !== undefined) return { task: cutOff, resumed: true };
  const task = await submitImport(parts, engine, {
    taskId: randomUUID(),
    taskType: 'import',
    taskInput,
    image: options.imageId ?? {
      id: randomUUID(),
      name: options.name ?? basename(path),
      diskFormat,
      containerFormat: options.containerFormat ?? 'bare',
    },
    importFrom: pathToFileURL(path).href,
    ...packing,
    ...(options.stores === undefined ? {} : { stores: options.stores }),
    ...(options.allStores === undefined ? {} : { allStores: options.allStores }),
    ...(options.allStoresMustSucceed === undefined ? {} : { allStoresMustSucceed: options.allStoresMustSucceed }),
    ...(options.conversionFormat === undefined ? {} : { conversionFormat: options.conversionFormat }),
  });
  return { task, resumed: false };
}

/** What people declare whose bytes are to be taken as they are. */
const NEVER_UNPACKED: ReadonlySet<string> = new Set(['raw', 'aki', 'ari', 'ami']);

async function packingOf<T>(
  { tools }: ImportParts<T>,
  path: string,
  { unpack, diskFormat }: ImportOptions,
): Promise<Packing | undefined> {
  if (unpack === undefined || NEVER_UNPACKED.has(diskFormat ?? '')) return undefined;
  if (await tools.isPacked(path)) return { entry: unpack.entry ?? null };
  if (unpack.entry === undefined) return undefined;
  throw new ImportError('invalid_value', `The file is no archive, so ${unpack.entry} cannot be chosen from it`);
}

type Packing = { readonly entry: string | null };

async function declaredFormat<T>(
  parts: ImportParts<T>,
  path: string,
  options: ImportOptions & { readonly packing: Packing | undefined },
): Promise<string> {
  if (options.imageId !== undefined) return (await parts.catalog.images.get(options.imageId)).diskFormat ?? '';
  if (options.diskFormat !== undefined) return options.diskFormat;
  const { packing, unpack, signal } = options;
  const { maxVirtualSize } = parts.settings;
  return packing === undefined || unpack === undefined
    ? detectDiskFormat(parts.tools, path, maxVirtualSize)
    : detectPackedFormat(parts.tools, path, {
        ...packing,
        directory: unpack.directory,
        maxVirtualSize,
        ...(signal === undefined ? {} : { signal }),
      });
}

/** What the task says it was asked for; the same for the same file in the same state and the same options. */
async function describeImport(path: string, diskFormat: string, options: ImportOptions): Promise<TaskDocument> {
  const { size, mtimeMs } = await stat(path).catch(() => {
    throw new ImportError('invalid_value', `There is no file ${path}`);
  });
  return {
    import_from: pathToFileURL(path).href,
    import_from_format: diskFormat,
    image_id: options.imageId ?? null,
    image_properties: {
      name: options.name ?? basename(path),
      disk_format: diskFormat,
      container_format: options.containerFormat ?? 'bare',
    },
    source_size: size,
    source_modified: mtimeMs,
    stores: options.stores ?? [],
    ...(options.allStores === undefined ? {} : { all_stores: true }),
    all_stores_must_succeed: options.allStoresMustSucceed ?? true,
    conversion_format: options.conversionFormat ?? null,
  };
}

async function unfinishedTask<T>(
  { journal, parts }: ServiceParts<T>,
  taskInput: TaskDocument,
): Promise<TaskRecord | undefined> {
  const wanted = JSON.stringify(taskInput);
  for (const id of await journal.unfinished()) {
    const task = await parts.catalog.tasks.get(id);
    const job = await journal.get(id);
    const failing = job === undefined || job.failure !== null || job.cancelRequested;
    if (!failing && JSON.stringify(task.input) === wanted) return task;
  }
  return undefined;
}
