import type { Authenticator, Policy } from '../auth/caller.ts';
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

/** What the API is put together from. */
export interface ApiParts {
  readonly catalog: Catalog;
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  readonly removal: ImageRemoval;
  readonly settings: ApiSettings;
  /** Why the service cannot work now; undefined when it can. */
  readonly unreadiness: () => Promise<string | undefined>;
  /** For operators: what no caller is told. */
  readonly log: (message: string) => void;
}
