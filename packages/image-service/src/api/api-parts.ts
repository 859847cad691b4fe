import type { Authenticator, Policy } from '../auth/caller.ts';
import type { ImageRecord } from '../catalog/image.ts';
import type { Catalog } from '../catalog/repositories.ts';
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
}

/** What the API is put together from. */
export interface ApiParts {
  readonly catalog: Catalog;
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  readonly removal: ImageRemoval;
  readonly data: ImageDataRoads;
  readonly settings: ApiSettings;
  /** Why the service cannot work now; undefined when it can. */
  readonly unreadiness: () => Promise<string | undefined>;
  /** For operators: what no caller is told. */
  readonly log: (message: string) => void;
}
