import { CatalogError } from './errors.ts';

/** Every state that an image can be in. */
export const IMAGE_STATUSES = [
  'queued',
  'saving',
  'uploading',
  'importing',
  'active',
  'killed',
  'deleted',
  'pending_delete',
  'deactivated',
] as const;
/** The state of an image. */
export type ImageStatus = (typeof IMAGE_STATUSES)[number];

/** Who may see an image: everybody, everybody who knows of it, its owner's project and members, that project alone. */
export const VISIBILITIES = ['public', 'community', 'shared', 'private'] as const;
/** One of `VISIBILITIES`. */
export type Visibility = (typeof VISIBILITIES)[number];

/** The states that may follow each state. spec/convert-flow.md, "Records". */
export const IMAGE_TRANSITIONS: Readonly<Record<ImageStatus, readonly ImageStatus[]>> = {
  queued: ['saving', 'uploading', 'importing', 'active', 'deleted'],
  saving: ['active', 'killed', 'deleted', 'queued'],
  uploading: ['importing', 'queued', 'deleted'],
  importing: ['active', 'deleted', 'queued'],
  active: ['pending_delete', 'deleted', 'deactivated'],
  killed: ['deleted'],
  pending_delete: ['deleted', 'active'],
  deactivated: ['active', 'deleted'],
  deleted: [],
};

/** What the stored bytes of an image are. Sizes in bytes, digests in hex. */
export interface ImageForm {
  readonly diskFormat: string | null;
  readonly containerFormat: string | null;
  readonly size: number | null;
  readonly virtualSize: number | null;
  readonly checksum: string | null;
  readonly osHashAlgo: string | null;
  readonly osHashValue: string | null;
}

/** Where bytes of an image lie: the id of a store and the name that this store gave them. */
export interface ImageLocation {
  readonly store: string;
  readonly location: string;
  /** What the bytes there are, where they are not what the image's record says: another format of the same disk. */
  readonly form?: ImageForm;
  /** What callers have noted about this place; absent when they have noted nothing. JSON. */
  readonly metadata?: LocationMetadata;
}

/** JSON that callers keep with a location. */
export type LocationMetadata = Readonly<Record<string, unknown>>;

/** What is known of one image. Sizes in bytes, times in milliseconds since 1970. */
export interface ImageRecord {
  readonly id: string;
  readonly name: string | null;
  readonly status: ImageStatus;
  readonly visibility: Visibility;
  readonly owner: string | null;
  readonly diskFormat: string | null;
  readonly containerFormat: string | null;
  /** Of the stored bytes. */
  readonly size: number | null;
  /** Of the disk that a guest sees. */
  readonly virtualSize: number | null;
  /** MD5 of the stored bytes, in hex. */
  readonly checksum: string | null;
  readonly osHashAlgo: string | null;
  readonly osHashValue: string | null;
  readonly minDisk: number;
  readonly minRam: number;
  readonly protected: boolean;
  readonly osHidden: boolean;
  readonly properties: Readonly<Record<string, string>>;
  /** Each once, in the order of their letters. */
  readonly tags: readonly string[];
  readonly locations: readonly ImageLocation[];
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly deletedAt: number | null;
  /** Grows by one with each save. */
  readonly revision: number;
}

/** Fields that the catalogue keeps by itself. */
type KeptFields = 'id' | 'createdAt' | 'updatedAt' | 'deletedAt' | 'revision';
/** New values for some fields of an image. `properties`, `tags` and `locations` replace what was there. */
export type ImageChanges = Partial<Omit<ImageRecord, KeptFields>>;
/** What a new image needs; it begins `queued`, at revision 1. */
export type NewImage = { readonly id: string } & Partial<Omit<ImageRecord, KeptFields | 'status' | 'locations'>>;

/** Properties of this beginning belong to the service. */
export const RESERVED_PREFIX: string = 'os_glance';
/** What the service keeps of the source of an image: users read it and do not write it. */
export const PROVENANCE_PROPERTIES: readonly string[] = ['source_format', 'source_size', 'source_hash', 'source_host'];
/** The lock: the id of the task that is importing the image. */
export const IMPORT_TASK_PROPERTY: string = 'os_glance_import_task';
/** A comma list of the stores that an import still has to fill. */
export const IMPORTING_STORES_PROPERTY: string = 'os_glance_importing_to_stores';
/** A comma list of the stores that an import could not fill. */
export const FAILED_STORES_PROPERTY: string = 'os_glance_failed_import';

/** What the bytes at a location of the image are. */
export function formAt(image: ImageRecord, { form }: ImageLocation): ImageForm {
  return form ?? image;
}

/** A new image as it is first recorded, at `now`. */
export function newImageRecord(image: NewImage, now: number): ImageRecord {
  return {
    name: null,
    visibility: 'shared',
    owner: null,
    diskFormat: null,
    containerFormat: null,
    size: null,
    virtualSize: null,
    checksum: null,
    osHashAlgo: null,
    osHashValue: null,
    minDisk: 0,
    minRam: 0,
    protected: false,
    osHidden: false,
    properties: {},
    ...image,
    tags: sortedTags(image.tags ?? []),
    status: 'queued',
    locations: [],
    createdAt: now,
    updatedAt: now,
    deletedAt: null,
    revision: 1,
  };
}

/**
 * The image with the changes made, one revision further. Entering `queued` clears `size` and `virtualSize`. Throws
 * `forbidden_change` for a state that may not follow and for another disk or container format once the bytes are settled,
 * unless the same change says where bytes of that format lie.
 */
export function changedImage(image: ImageRecord, changes: ImageChanges, now: number): ImageRecord {
  const status = changes.status ?? image.status;
  if (status !== image.status && !IMAGE_TRANSITIONS[image.status].includes(status)) {
    throw new CatalogError('forbidden_change', `An image that is ${image.status} cannot become ${status}`);
  }
  const settled = image.status !== 'queued' && image.status !== 'importing';
  const reformatted = differs(image, changes, 'diskFormat') || differs(image, changes, 'containerFormat');
  if (settled && reformatted && changes.locations === undefined) {
    throw new CatalogError(
      'forbidden_change',
      `disk_format and container_format cannot change while the image is ${image.status}`,
    );
  }
  const entered = status !== image.status;
  return {
    ...image,
    ...changes,
    tags: changes.tags === undefined ? image.tags : sortedTags(changes.tags),
    ...(entered && status === 'queued' ? { size: null, virtualSize: null } : {}),
    deletedAt: entered && status === 'deleted' ? now : image.deletedAt,
    updatedAt: now,
    revision: image.revision + 1,
  };
}

function sortedTags(tags: readonly string[]): readonly string[] {
  return [...new Set(tags)].sort();
}

function differs(image: ImageRecord, changes: ImageChanges, field: 'diskFormat' | 'containerFormat'): boolean {
  return changes[field] !== undefined && changes[field] !== image[field];
}

/** Throws `reserved` when a user tries to write a property that belongs to the service. */
export function refuseReservedProperties(properties: Readonly<Record<string, string>>): void {
  const name = Object.keys(properties).find((property) => property.startsWith(RESERVED_PREFIX));
  if (name !== undefined) throw new CatalogError('reserved', `The property ${name} can only be set by the service`);
}

/** The ids in a comma list, in order, each once. */
export function storeList(text: string | undefined): readonly string[] {
  return [...new Set((text ?? '').split(',').filter((id) => id !== ''))];
}
