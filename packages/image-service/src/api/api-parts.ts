import type { Authenticator, Policy } from '../auth/caller.ts';
import type { ImageChanges, ImageLocation, ImageRecord, NewImage } from '../catalog/image.ts';
import type { LimitSource } from '../catalog/quota.ts';
import type { Catalog } from '../catalog/repositories.ts';
import type { TaskDocument, TaskRecord } from '../catalog/task.ts';
import type { AddressedPlace, FoundPlace, WantedPlace } from '../import/image-places.ts';
import type { ClaimedDigests } from '../import/location-flow.ts';
import type { CacheRoads } from './cache.ts';
import type { ImageStore } from '../store/store.ts';
import type { CallWatch } from './calls.ts';
import type { LookAtHealth } from './health.ts';
import type { ImportCall } from './import-call.ts';
import type { TransferLimits } from './transfer-limits.ts';

/** What the API may be used for and up to where, as configured. */
export interface ApiSettings {
  readonly diskFormats: readonly string[];
  readonly containerFormats: readonly string[];
  /** Ids and texts of the stores, the default one first named in `defaultStore`. */
  readonly stores: readonly StoreDescription[];
  readonly defaultStore: string;
  /** Images in one page when the caller names no number, and the most that they may name. */
  readonly pageSize: { readonly usual: number; readonly most: number };
  /** The most tags, properties, members and locations that one image may have. */
  readonly quotas: {
    readonly tags: number;
    readonly properties: number;
    readonly members: number;
    readonly locations: number;
  };
  /** Images are cached here, and administrators are told so. */
  readonly servesCache: boolean;
  /** Nodes tell each other what is in their caches. */
  readonly tellsCachedNodes: boolean;
  /** What is shown of where images lie; without `locations` callers cannot change it either. */
  readonly showsPlaces: { readonly directUrl: boolean; readonly locations: boolean };
  /** What the caller sees of where the service is, when the configuration says so; else what they called it by. */
  readonly publicEndpoint: string | undefined;
  /** The ways in which images can be imported now. */
  readonly importMethods: readonly string[];
  readonly version: string;
  readonly transfers: TransferLimits;
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
  readonly asker: Asker;
}

/** Data on its way out. */
export interface OpenedData {
  readonly sizeBytes: number;
  read(range?: { readonly offset: number; readonly length: number }): AsyncIterable<Uint8Array>;
}

/** Data on its way out that is made as it goes; it is read once, or closed. */
export interface ConvertedData extends OpenedData {
  /** MD5 of all of it, in hex; null where it is not known. */
  readonly checksum: string | null;
  /** Changes when the bytes do; null where nobody can tell. */
  readonly tag: string | null;
  /** Milliseconds after which a caller that takes nothing is given up. */
  readonly stallMs: number;
  close(): Promise<void>;
}

/** Moves the data of images. */
export interface ImageDataRoads {
  /** Ends with the image `active`, or fails with it as before. */
  upload(data: DataInCall): Promise<void>;
  /** Keeps data until it is imported. */
  stage(data: DataInCall): Promise<void>;
  /** The data of an image, from the stores of `prefer` first; undefined when it has none. Throws when no store gives it. */
  open(image: ImageRecord, prefer?: readonly string[]): Promise<OpenedData | undefined>;
  /** The image in another format; undefined when it has no data. Throws what refuses it. */
  openConverted(
    image: ImageRecord,
    wanted: { readonly format: string; readonly options: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<ConvertedData | undefined>;
  /** What the data of an image is and whether it would be let in; undefined when it has none. Changes nothing. */
  inspect(image: ImageRecord): Promise<unknown>;
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

/** An image that is to be converted in place. */
export interface ConversionCall {
  readonly imageId: string;
  readonly format: string;
  /** How the result is made; as configured when absent. */
  readonly options?: Readonly<Record<string, string>>;
  readonly containerFormat?: string;
  readonly rewrite: 'when-different' | 'always';
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
  /** Undefined when there is nothing to do. Throws what refuses the import before it begins. */
  submit(call: ImportCall): Promise<TaskRecord | undefined>;
  submitTask(call: ImportTaskCall): Promise<TaskRecord>;
  /** Throws what refuses the conversion before it begins. */
  convert(call: ConversionCall): Promise<TaskRecord>;
  cancel(taskId: string): Promise<void>;
  /** Null while nothing is known. */
  progress(taskId: string): Promise<TaskProgress | null>;
  /** Calls `listener` at every report of a running task, until the returned function is called. */
  onProgress(taskId: string, listener: (progress: TaskProgress) => void): () => void;
  /** Settles when the task has ended, or the service stops. */
  ended(taskId: string): Promise<void>;
}

/** A location that a caller adds to an image without data. */
export interface AddLocationCall {
  readonly image: ImageRecord;
  readonly wanted: WantedPlace;
  readonly claimed: ClaimedDigests | undefined;
  readonly asker: Asker;
}

/** Other places for an image that has data. */
export interface PlacesChange {
  readonly image: ImageRecord;
  /** All that it is to have. */
  readonly locations: readonly ImageLocation[];
  /** Those that it did not have, by their URLs. */
  readonly added: ReadonlyMap<string, FoundPlace>;
  readonly asker: Asker;
}

/** Where the data of images lies. */
export interface PlaceRoads {
  /** The places with their URLs, in order. */
  addressed(image: ImageRecord): Promise<readonly AddressedPlace[]>;
  /** Looks at what a URL names. Throws what refuses it. */
  find(image: ImageRecord, wanted: WantedPlace): Promise<FoundPlace>;
  /** Changes the image; the data of places that it no longer names goes. */
  change(imageId: string, change: (image: ImageRecord) => ImageChanges): Promise<ImageRecord>;
  /** Has the data at further places to be read before the image names them? Throws when it has to come later. */
  verifies(image: ImageRecord): boolean;
  /** Changes the places when what was added holds the image's data; returns when that is done. Throws why it is not. */
  changeVerified(call: PlacesChange): Promise<ImageRecord>;
  /** Gives an image without data a first location. */
  add(call: AddLocationCall): Promise<FoundPlace>;
  /** Takes the image out of a store. */
  removeFrom(imageId: string, storeId: string): Promise<void>;
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
  readonly places: PlaceRoads;
  /** Undefined: nothing is cached here. */
  readonly cache: CacheRoads | undefined;
  readonly projectLimits: LimitSource;
  /** Is it the database that cannot be reached now? */
  readonly isOutage: (error: unknown) => boolean;
  readonly settings: ApiSettings;
  readonly health: LookAtHealth;
  /** For operators: what no caller is told. */
  readonly watch: CallWatch;
}
