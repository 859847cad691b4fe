import type { ImageRecord } from '../catalog/image.ts';
import type { TaskDocument } from '../catalog/task.ts';
import type { Asker } from './api-parts.ts';

/** From where a caller wants the data of an image. */
export type ImportSource =
  | { readonly method: 'glance-direct' }
  | { readonly method: 'web-download'; readonly uri: string }
  | { readonly method: 'copy-image' }
  | { readonly method: 'glance-download'; readonly remote: RemoteImageCall };

/** An image of another image service. */
export interface RemoteImageCall {
  readonly imageId: string;
  readonly region: string;
  readonly interface: 'public' | 'internal' | 'admin';
  /** That of the call; the other service is asked with it. */
  readonly token: string | undefined;
}

/** An import that a caller asks for. */
export interface ImportCall {
  readonly image: ImageRecord;
  readonly source: ImportSource;
  /** Ids of stores; the default store when there are none. */
  readonly stores: readonly string[];
  /** `stores` are all of those in which something can be put. */
  readonly allStores: boolean;
  readonly allStoresMustSucceed: boolean;
  readonly asker: Asker;
  /** What the task says it was asked for. */
  readonly taskInput: TaskDocument;
}
