import type { MetadefTables } from './metadefs/tables.ts';

/** One row for each image; booleans are 0 or 1, times are milliseconds since 1970. */
export interface ImageRow {
  id: string;
  name: string | null;
  status: string;
  visibility: string;
  owner: string | null;
  disk_format: string | null;
  container_format: string | null;
  size: number | null;
  virtual_size: number | null;
  checksum: string | null;
  os_hash_algo: string | null;
  os_hash_value: string | null;
  min_disk: number;
  min_ram: number;
  protected: number;
  os_hidden: number;
  created_at: number;
  updated_at: number;
  deleted_at: number | null;
  revision: number;
}

/** One row for each property of an image. */
export interface ImagePropertyRow {
  image_id: string;
  name: string;
  value: string;
}

/** One row for each place where an image's bytes lie, in order of `position`. */
export interface ImageLocationRow {
  image_id: string;
  position: number;
  store: string;
  location: string;
  /** What the bytes there are, where they differ from what the image says; all null where they do not. */
  disk_format: string | null;
  container_format: string | null;
  size: number | null;
  virtual_size: number | null;
  checksum: string | null;
  os_hash_algo: string | null;
  os_hash_value: string | null;
  /** JSON; null: nothing is noted. */
  metadata: string | null;
}

/** One row for each place in a store that no image names any more and whose bytes still have to be removed. */
export interface BlobRemovalRow {
  store: string;
  location: string;
  image_id: string;
  created_at: number;
}

/** One row for each reader of bytes in a store that somebody may want to remove. */
export interface BlobHoldRow {
  id: string;
  store: string;
  location: string;
  expires_at: number;
}

/** One row for each tag of an image. */
export interface ImageTagRow {
  image_id: string;
  tag: string;
}

/** One row for each project that an image is shared with. */
export interface ImageMemberRow {
  image_id: string;
  member: string;
  status: string;
  created_at: number;
  updated_at: number;
}

/** One row for each task; `input` and `result` are JSON. */
export interface TaskRow {
  id: string;
  type: string;
  status: string;
  owner: string | null;
  input: string;
  result: string | null;
  message: string;
  error_code: string | null;
  image_id: string | null;
  request_id: string | null;
  user_id: string | null;
  expires_at: number | null;
  created_at: number;
  updated_at: number;
  revision: number;
}

/** One row for each upload under way, and for data that has come and waits for its import (`expires_at` is null). */
export interface IncomingHoldRow {
  id: string;
  image_id: string;
  node: string;
  expires_at: number | null;
}

/** Facts about the catalogue itself. */
export interface CatalogFactRow {
  name: string;
  value: string;
}

/** One row for each image in the cache of a node. */
export interface CachedImageRow {
  /** The URL of the node. */
  node: string;
  image_id: string;
}

/** One row for each project whose use was ever counted; whoever writes it counts alone. */
export interface ProjectCountRow {
  /** Empty for images that belong to nobody. */
  project: string;
  counted: number;
}

/** One row for each image to which bytes were promised while it is being brought in. */
export interface ImageReservationRow {
  image_id: string;
  stored_bytes: number;
  staged_bytes: number;
}

/** The catalogue's tables. */
export interface CatalogTables extends MetadefTables {
  images: ImageRow;
  image_properties: ImagePropertyRow;
  image_locations: ImageLocationRow;
  image_tags: ImageTagRow;
  blob_removals: BlobRemovalRow;
  cached_images: CachedImageRow;
  project_counts: ProjectCountRow;
  image_reservations: ImageReservationRow;
  blob_holds: BlobHoldRow;
  image_members: ImageMemberRow;
  tasks: TaskRow;
  catalog_facts: CatalogFactRow;
  incoming_holds: IncomingHoldRow;
}
