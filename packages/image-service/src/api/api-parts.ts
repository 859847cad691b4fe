import type { Authenticator, Policy } from '../auth/caller.ts';
import type { ImageRecord, NewImage } from '../catalog/image.ts';
import type { Catalog } from '../catalog/repositories.ts';
import type { TaskDocument, TaskRecord } from '../catalog/task.ts';
import type { ImageStore } from '../store/store.ts';

/** What the API may be used for and up to where, as configured. */
export interface ApiSettings {
  readonly diskFormats: readonly string[];
  readonly containerFormats: readonly string[];
  /** Ids and texts of the stores, the default one first named in `defaultStore`. */
  readonly stores: readonly StoreDescription[];
  readonly defaultStore: string;
  /** Images in one page when the caller names no number, and the most that they may name. */
  readonly pageSize: { readonly usual: number; readonly most: number };
  /** The most tags, properties and members that one image may have. */
  readonly quotas: { readonly tags: number; readonly properties: number; readonly members: number };
  /** What the caller sees of where the service is, when the configuration says so; else what they called it by. */
  readonly publicEndpoint: string | undefined;
  /** The ways in which images can be imported now. */
  readonly importMethods: readonly string[];
  readonly version: string;
}

/** What callers are told about a store. */
export interface StoreDescription {
  readonly id: string;
  readonly description?: string;
}

/** Ends images. */
export interface ImageRemoval {
  /** Deletes the image and its data; missing means done. */
  remove(imageId: string): Promise<void>;
}

/** Data on its way in. */
export interface DataInCall {
  readonly imageId: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly expectedBytes?: number;
  readonly store?: string;
}

/** Data on its way out. */
export interface OpenedData {
  readonly sizeBytes: number;
  read(range?: { readonly offset: number; readonly length: number }): AsyncIterable<Uint8Array>;
}

/** Moves the data of images. */
export interface ImageDataRoads {
  /** Ends with the image `active`, or fails with it as before. */
  upload(data: DataInCall): Promise<void>;
  /** Keeps data until it is imported. */
  stage(data: DataInCall): Promise<void>;
  /** The data of an image; undefined when it has none. Throws when no store gives it. */
  open(image: ImageRecord): Promise<OpenedData | undefined>;
  /** The disk in that data, as raw bytes. */
  openAsRaw(image: ImageRecord): Promise<OpenedData | undefined>;
  /** What the data of an image is and whether it would be let in; undefined when it has none. Changes nothing. */
  inspect(image: ImageRecord): Promise<unknown>;
}

/** An import that a caller asks for. */
export interface ImportCall {
  readonly image: ImageRecord;
  readonly method: 'glance-direct' | 'web-download';
  /** For `web-download`. */
  readonly uri: string | undefined;
  /** Ids of stores; the default store when there are none. */
  readonly stores: readonly string[];
  readonly allStoresMustSucceed: boolean;
  readonly asker: Asker;
  /** What the task says it was asked for. */
  readonly taskInput: TaskDocument;
}

/** Who asked for a task, and by which call. */
export interface Asker {
  readonly owner: string | null;
  readonly userId: string | null;
  readonly requestId: string;
  readonly roles: readonly string[];
}

/** An image that is to be made and imported by one task. */
export interface ImportTaskCall {
  readonly uri: string;
  readonly image: NewImage & { readonly diskFormat: string };
  readonly asker: Asker;
  readonly taskInput: TaskDocument;
}

/** How far a task is. */
export interface TaskProgress {
  readonly stage: string;
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  readonly percent: number | null;
  readonly bytesPerSecond: number | null;
  readonly etaSeconds: number | null;
}

/** Imports and their tasks. */
export interface ImportRoads {
  /** Throws what refuses the import before it begins. */
  submit(call: ImportCall): Promise<TaskRecord>;
  submitTask(call: ImportTaskCall): Promise<TaskRecord>;
  cancel(taskId: string): Promise<void>;
  /** Null while nothing is known. */
  progress(taskId: string): Promise<TaskProgress | null>;
  /** Calls `listener` at every report of a running task, until the returned function is called. */
  onProgress(taskId: string, listener: (progress: TaskProgress) => void): () => void;
  /** Settles when the task has ended, or the service stops. */
  ended(taskId: string): Promise<void>;
}

/** What the API is put together from. */
export interface ApiParts {
  readonly catalog: Catalog;
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  readonly removal: ImageRemoval;
  readonly data: ImageDataRoads;
  readonly imports: ImportRoads;
  readonly settings: ApiSettings;
  /** Why the service cannot work now; undefined when it can. */
  readonly unreadiness: () => Promise<string | undefined>;
  /** For operators: what no caller is told. */
  readonly log: (message: string) => void;
}
