import { CatalogError } from './errors.ts';
import type { ImageChanges, ImageRecord, ImageStatus, NewImage } from './image.ts';
import type { NewTask, TaskChanges, TaskRecord, TaskStatus } from './task.ts';

/** A place in a list: the last record already seen, in order of creation. */
export interface ListPosition {
  readonly createdAt: number;
  readonly id: string;
}

/** Which images to list, newest first. */
export interface ImageQuery {
  readonly status?: ImageStatus;
  readonly name?: string;
  readonly owner?: string;
  /** Deleted images are left out unless asked for. */
  readonly deleted?: 'include';
  readonly after?: ListPosition;
  /** At most this many, 1 to 1000; 1000 when not given. */
  readonly limit?: number;
}

/** Which tasks to list, newest first. */
export interface TaskQuery {
  readonly status?: TaskStatus;
  readonly imageId?: string;
  readonly after?: ListPosition;
  /** At most this many, 1 to 1000; 1000 when not given. */
  readonly limit?: number;
}

/** The images. */
export interface ImageRepo {
  /** Throws `not_found`. */
  get(id: string): Promise<ImageRecord>;
  list(query: ImageQuery): Promise<readonly ImageRecord[]>;
  insert(image: NewImage): Promise<ImageRecord>;
  /** Saves changes to a record as it was read; throws `conflict` when its revision is no longer the current one. */
  save(image: ImageRecord, changes: ImageChanges): Promise<ImageRecord>;
}

/** The tasks. */
export interface TaskRepo {
  /** Throws `not_found`. */
  get(id: string): Promise<TaskRecord>;
  list(query: TaskQuery): Promise<readonly TaskRecord[]>;
  insert(task: NewTask): Promise<TaskRecord>;
  /** As for images. */
  save(task: TaskRecord, changes: TaskChanges): Promise<TaskRecord>;
  /** Forgets the tasks that expired before `now` and returns their ids. */
  removeExpired(now: number): Promise<readonly string[]>;
}

/** The whole catalogue. */
export interface Catalog<Transaction = unknown> {
  readonly images: ImageRepo;
  readonly tasks: TaskRepo;
  /** Random and fixed at the creation of the catalogue: marks what belongs to it elsewhere. */
  readonly instanceId: string;
  /** Everything that `work` does through the given catalogue happens, or nothing does. */
  transaction<T>(work: (catalog: CatalogInTransaction<Transaction>) => Promise<T>): Promise<T>;
}

/** The catalogue inside a transaction; `transaction` is the database's own, for others who take part in it. */
export interface CatalogInTransaction<Transaction> {
  readonly images: ImageRepo;
  readonly tasks: TaskRepo;
  readonly transaction: Transaction;
}

/** Writers that come in between are few; more than this many in a row is a fault. */
const MAX_CONFLICTS = 20;

/**
 * Reads an image, asks `change` what to change (undefined: nothing), saves; when somebody else saved in between, does it
 * again on the newer record, so that nobody's changes are lost.
 */
export async function changeImage(
  images: ImageRepo,
  id: string,
  change: (image: ImageRecord) => ImageChanges | undefined,
): Promise<ImageRecord> {
  for (let conflicts = 0; ; conflicts++) {
    const image = await images.get(id);
    const changes = change(image);
    if (changes === undefined) return image;
    try {
      return await images.save(image, changes);
    } catch (error) {
      if (!(error instanceof CatalogError && error.code === 'conflict') || conflicts >= MAX_CONFLICTS) throw error;
    }
  }
}
