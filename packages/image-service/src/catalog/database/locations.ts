import type { Selectable } from 'kysely';
import type { ImageForm, ImageLocation, LocationMetadata } from '../image.ts';
import type { ImageLocationRow } from './tables.ts';

const NO_FORM: ImageForm = {
  diskFormat: null,
  containerFormat: null,
  size: null,
  virtualSize: null,
  checksum: null,
  osHashAlgo: null,
  osHashValue: null,
};

/** The rows of an image's locations, in their order. */
export function locationRows(imageId: string, locations: readonly ImageLocation[]): readonly ImageLocationRow[] {
  return locations.map(({ store, location, form = NO_FORM, metadata }, position) => ({
    image_id: imageId,
    position,
    store,
    location,
    disk_format: form.diskFormat,
    container_format: form.containerFormat,
    size: form.size,
    virtual_size: form.virtualSize,
    checksum: form.checksum,
    os_hash_algo: form.osHashAlgo,
    os_hash_value: form.osHashValue,
    metadata: metadata === undefined ? null : JSON.stringify(metadata),
  }));
}

/** The location in a row. */
export function locationOf(row: Selectable<ImageLocationRow>): ImageLocation {
  const { store, location } = row;
  const noted = row.metadata === null ? {} : { metadata: JSON.parse(row.metadata) as LocationMetadata };
  if (row.disk_format === null) return { store, location, ...noted };
  const form: ImageForm = {
    diskFormat: row.disk_format,
    containerFormat: row.container_format,
    size: row.size === null ? null : Number(row.size),
    virtualSize: row.virtual_size === null ? null : Number(row.virtual_size),
    checksum: row.checksum,
    osHashAlgo: row.os_hash_algo,
    osHashValue: row.os_hash_value,
  };
  return { store, location, form, ...noted };
}
