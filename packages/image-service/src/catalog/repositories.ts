import { CatalogError } from './errors.ts';
import type { ImageChanges, ImageRecord, NewImage } from './image.ts';
import type { ImageQuery } from './image-query.ts';
import type { MemberRecord, MemberStatus } from './member.ts';
import type { MetadefRepo } from './metadefs/repository.ts';
import type { ProjectUse, Promised, PromiseWish } from './quota.ts';
import type { NewTask, TaskChanges, TaskRecord, TaskStatus } from './task.ts';

/** A place in a list: the last record already seen, in order of creation. */
export interface ListPosition {
  readonly createdAt: number;
  readonly id: string;
}

/** Which tasks to list, newest first. */
export interface TaskQuery {
  readonly status?: TaskStatus;
  readonly imageId?: string;
  readonly type?: TaskRecord['type'];
  readonly owner?: string;
  readonly after?: ListPosition;
  /** At most this many, 1 to 1000; 1000 when not given. */
  readonly limit?: number;
}

/** The images. */
export interface ImageRepo {
  /** Throws `not_found`. */
  get(id: string): Promise<ImageRecord>;
  /** Throws `not_found` when there is no image `afterId`. */
  list(query: ImageQuery): Promise<readonly ImageRecord[]>;
  /** What a project has of images that are not deleted. */
  usage(owner: string | null): Promise<ProjectUse>;
  insert(image: NewImage): Promise<ImageRecord>;
  /** Saves changes to a record as it was read; throws `conflict` when its revision is no longer the current one. */
  save(image: ImageRecord, changes: ImageChanges): Promise<ImageRecord>;
}

/** Which projects images are shared with. */
export interface MemberRepo {
  /** Oldest first. */
  list(imageId: string): Promise<readonly MemberRecord[]>;
  /** Throws `not_found`. */
  get(imageId: string, member: string): Promise<MemberRecord>;
  /**
   * Begins `pending`; of those there may be `most`, when that is not negative. Throws `conflict` when the image is shared
   * with that project already, `over_quota`.
   */
  insert(imageId: string, member: string, most: number): Promise<MemberRecord>;
  /** Throws `not_found`. */
  setStatus(imageId: string, member: string, status: MemberStatus): Promise<MemberRecord>;
  /** Throws `not_found`. */
  remove(imageId: string, member: string): Promise<void>;
}

/** A place in a store. */
export interface BlobPlace {
  readonly store: string;
  readonly location: string;
}

/** A place in a store that no image names any more. */
export interface OrphanedBlob extends BlobPlace {
  readonly imageId: string;
}

/** Bytes that still have to be removed from their stores: written in the transaction in which an image gives them up. */
export interface BlobRemovalRepo {
  /** Harmless when repeated. */
  add(blob: OrphanedBlob): Promise<void>;
  /** Oldest first; `until`: those that were given up then or earlier, milliseconds since 1970. */
  list(query?: { readonly until?: number }): Promise<readonly OrphanedBlob[]>;
  /** The bytes are gone. Missing means done. */
  done(blob: OrphanedBlob): Promise<void>;
}

/** Bytes that somebody is reading: whoever would remove them waits. Times in milliseconds since 1970. */
export interface BlobHoldRepo {
  /** Begins or renews a hold. */
  keep(hold: BlobPlace & { readonly id: string; readonly expiresAt: number }): Promise<void>;
  /** Missing means done. */
  release(id: string): Promise<void>;
  /** Has anybody a hold there that lasts beyond `now`? */
  isHeld(place: BlobPlace, now: number): Promise<boolean>;
  forgetExpired(now: number): Promise<void>;
}

/** What was promised to images that are being brought in. It counts only as long as they are. */
export interface ReservationRepo {
  /**
   * Promises bytes to an image, instead of what was promised to it before, and gives how many it may bring. Throws
   * `over_quota` when even those that it needs at least would be too many for its project.
   */
  promise(imageId: string, wish: PromiseWish): Promise<number>;
  /** Until the end of the transaction nobody else counts what the project uses. Only inside one. */
  hold(project: string | null): Promise<void>;
  /** Zeros where nothing was promised. */
  of(imageId: string): Promise<Promised>;
  set(imageId: string, promised: Promised): Promise<void>;
  clear(imageId: string): Promise<void>;
}

/** Data that is coming in through some process, or has come and waits for its import. Milliseconds since 1970. */
export interface IncomingHold {
  readonly id: string;
  readonly imageId: string;
  /** The machine that it comes to. */
  readonly node: string;
  /** When nobody is sending any more unless the hold is renewed; null: everything has come. */
  readonly expiresAt: number | null;
}

/** Who is bringing data in: others leave it alone meanwhile. */
export interface IncomingHoldRepo {
  /** Begins or changes a hold. */
  keep(hold: IncomingHold): Promise<void>;
  /** Gives one that is there more time, expired or not; false when there is none. */
  renew(id: string, expiresAt: number): Promise<boolean>;
  /** Ends for good those of the image that have expired by then. */
  giveUp(imageId: string, now: number): Promise<void>;
  /** Missing means done. */
  release(id: string): Promise<void>;
  list(): Promise<readonly IncomingHold[]>;
}

/** Which nodes have images in their caches. */
export interface CachedImageRepo {
  /** URLs of nodes, sorted. */
  nodesOf(imageId: string): Promise<readonly string[]>;
  /** The node has these images now, and no others. */
  replace(node: string, imageIds: readonly string[]): Promise<void>;
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
  readonly members: MemberRepo;
  readonly metadefs: MetadefRepo;
  readonly tasks: TaskRepo;
  readonly blobRemovals: BlobRemovalRepo;
  readonly reservations: ReservationRepo;
  readonly cachedImages: CachedImageRepo;
  readonly blobHolds: BlobHoldRepo;
  readonly incomingHolds: IncomingHoldRepo;
  /** Random and fixed at the creation of the catalogue: marks what belongs to it elsewhere. */
  readonly instanceId: string;
  /** Everything that `work` does through the given catalogue happens, or nothing does. */
  transaction<T>(work: (catalog: CatalogInTransaction<Transaction>) => Promise<T>): Promise<T>;
}

/** The catalogue inside a transaction; `transaction` is the database's own, for others who take part in it. */
export interface CatalogInTransaction<Transaction> {
  readonly images: ImageRepo;
  readonly members: MemberRepo;
  readonly tasks: TaskRepo;
  readonly blobRemovals: BlobRemovalRepo;
  readonly reservations: ReservationRepo;
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
  change: (image: ImageRecord) => ImageChanges | undefined | Promise<ImageChanges | undefined>,
): Promise<ImageRecord> {
  for (let conflicts = 0; ; conflicts++) {
    const image = await images.get(id);
    const changes = await change(image);
    if (changes === undefined) return image;
    try {
      return await images.save(image, changes);
    } catch (error) {
      if (!(error instanceof CatalogError && error.code === 'conflict') || conflicts >= MAX_CONFLICTS) throw error;
    }
  }
}
