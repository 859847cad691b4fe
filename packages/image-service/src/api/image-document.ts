import type { ImageRecord } from '../catalog/image.ts';
import { formAt, PROVENANCE_PROPERTIES, RESERVED_PREFIX } from '../catalog/image.ts';

/** A JSON document about an image. */
export type ImageDocument = Readonly<Record<string, unknown>>;

/** `2026-01-31T12:00:00Z`: whole seconds, as clients expect them. */
export function timeText(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** What callers are told of an image: its fields, and its properties beside them. */
export function imageDocument(image: ImageRecord): ImageDocument {
  const stores = [...new Set(image.locations.map((place) => place.store))].sort();
  return {
    ...image.properties,
    name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    visibility: image.visibility,
    size: image.size,
    virtual_size: image.virtualSize,
    status: image.status,
    checksum: image.checksum,
    protected: image.protected,
    min_ram: image.minRam,
    min_disk: image.minDisk,
    owner: image.owner,
    os_hidden: image.osHidden,
    os_hash_algo: image.osHashAlgo,
    os_hash_value: image.osHashValue,
    id: image.id,
    created_at: timeText(image.createdAt),
    updated_at: timeText(image.updatedAt),
    ...(stores.length === 0 ? {} : { stores: stores.join(',') }),
    ...storedFormats(image),
    tags: image.tags,
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: '/v2/schemas/image',
  };
}

/** Which store has which format, where they are not all the same: `fast:raw,archive:qcow2`. */
function storedFormats(image: ImageRecord): ImageDocument {
  if (image.locations.every(({ form }) => form === undefined)) return {};
  const formats = image.locations.map((place) => `${place.store}:${formAt(image, place).diskFormat}`);
  return { os_glance_stored_formats: formats.sort().join(',') };
}

/** Attributes that only the service sets. */
export const READ_ONLY_ATTRIBUTES: readonly string[] = [
  'created_at',
  'updated_at',
  'status',
  'checksum',
  'size',
  'virtual_size',
  'direct_url',
  'self',
  'file',
  'schema',
  'stores',
  'os_hash_algo',
  'os_hash_value',
];

/** Attributes that no caller may name. */
const RESERVED_ATTRIBUTES: ReadonlySet<string> = new Set(['location', 'deleted', 'deleted_at']);

/** Attributes that every image has; whatever else there is, is a property. */
export const BASE_ATTRIBUTES: readonly string[] = [
  ...READ_ONLY_ATTRIBUTES,
  'id',
  'name',
  'visibility',
  'protected',
  'os_hidden',
  'owner',
  'container_format',
  'disk_format',
  'tags',
  'min_ram',
  'min_disk',
  'locations',
];

/** True of names that belong to the service. */
export function isReserved(name: string): boolean {
  return RESERVED_ATTRIBUTES.has(name) || name.startsWith(RESERVED_PREFIX) || PROVENANCE_PROPERTIES.includes(name);
}
