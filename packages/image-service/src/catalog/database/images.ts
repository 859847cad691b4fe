import type { Kysely, Selectable } from 'kysely';
import { CatalogError } from '../errors.ts';
import type { ImageChanges, ImageRecord, NewImage } from '../image.ts';
import { changedImage, IMAGE_STATUSES, newImageRecord, VISIBILITIES } from '../image.ts';
import type { ImageRepo } from '../repositories.ts';
import { selectImages } from './image-list.ts';
import { imageUsage } from './image-usage.ts';
import { locationOf, locationRows } from './locations.ts';
import type { CatalogTables, ImageLocationRow, ImagePropertyRow, ImageRow, ImageTagRow } from './tables.ts';

/** Joins the parts of one change into a transaction; inside one it is that one. */
export type RunTogether = <T>(work: (db: Kysely<CatalogTables>) => Promise<T>) => Promise<T>;

/** The images in the database. `now` gives milliseconds since 1970. */
export function imageTable(db: Kysely<CatalogTables>, together: RunTogether, now: () => number): ImageRepo {
  return {
    async get(id) {
      const row = await db.selectFrom('images').selectAll().where('id', '=', id).executeTakeFirst();
      const image = row === undefined ? undefined : (await recordsOf(db, [row]))[0];
      if (image === undefined) throw new CatalogError('not_found', `There is no image ${id}`);
      return image;
    },
    list: async (query) => recordsOf(db, await selectImages(db, query)),
    usage: (owner) => imageUsage(db, owner),
    insert: (image) => together((inside) => insertImage(inside, image, now())),
    save: (image, changes) =>
      together((inside) => saveImage(inside, image, changedImage(image, changes, now()), changes)),
  };
}

async function insertImage(db: Kysely<CatalogTables>, image: NewImage, now: number): Promise<ImageRecord> {
  const record = newImageRecord(image, now);
  const result = await db
    .insertInto('images')
    .values(rowOf(record))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst();
  if (result.numInsertedOrUpdatedRows !== 1n) {
    throw new CatalogError('conflict', `There is an image ${image.id} already`);
  }
  await insertParts(db, record, record);
  return record;
}

async function saveImage(
  db: Kysely<CatalogTables>,
  expected: ImageRecord,
  image: ImageRecord,
  changes: ImageChanges,
): Promise<ImageRecord> {
  const result = await db
    .updateTable('images')
    .set(rowOf(image))
    .where('id', '=', image.id)
    .where('revision', '=', expected.revision)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) {
    throw new CatalogError('conflict', `Image ${image.id} was changed by somebody else in the meantime`);
  }
  if (changes.properties !== undefined) {
    await db.deleteFrom('image_properties').where('image_id', '=', image.id).execute();
  }
  if (changes.tags !== undefined) await db.deleteFrom('image_tags').where('image_id', '=', image.id).execute();
  if (changes.locations !== undefined) {
    await db.deleteFrom('image_locations').where('image_id', '=', image.id).execute();
  }
  await insertParts(db, image, { ...changes, ...(changes.tags === undefined ? {} : { tags: image.tags }) });
  return image;
}

/** Inserts the properties, tags and locations of `image` as far as `given` has them. */
async function insertParts(db: Kysely<CatalogTables>, image: ImageRecord, given: ImageChanges): Promise<void> {
  const properties = Object.entries(given.properties ?? {}).map(([name, value]) => ({
    image_id: image.id,
    name,
    value,
  }));
  if (properties.length > 0) await db.insertInto('image_properties').values(properties).execute();
  const tags = (given.tags ?? []).map((tag) => ({ image_id: image.id, tag }));
  if (tags.length > 0) await db.insertInto('image_tags').values(tags).execute();
  const locations = locationRows(image.id, given.locations ?? []);
  if (locations.length > 0) await db.insertInto('image_locations').values(locations).execute();
}

function rowOf(image: ImageRecord): ImageRow {
  return {
    id: image.id,
    name: image.name,
    status: image.status,
    visibility: image.visibility,
    owner: image.owner,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    size: image.size,
    virtual_size: image.virtualSize,
    checksum: image.checksum,
    os_hash_algo: image.osHashAlgo,
    os_hash_value: image.osHashValue,
    min_disk: image.minDisk,
    min_ram: image.minRam,
    protected: image.protected ? 1 : 0,
    os_hidden: image.osHidden ? 1 : 0,
    created_at: image.createdAt,
    updated_at: image.updatedAt,
    deleted_at: image.deletedAt,
    revision: image.revision,
  };
}

async function recordsOf(
  db: Kysely<CatalogTables>,
  rows: readonly Selectable<ImageRow>[],
): Promise<readonly ImageRecord[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const properties = await db.selectFrom('image_properties').selectAll().where('image_id', 'in', ids).execute();
  const tags = await db.selectFrom('image_tags').selectAll().where('image_id', 'in', ids).execute();
  const locations = await db
    .selectFrom('image_locations')
    .selectAll()
    .where('image_id', 'in', ids)
    .orderBy('position')
    .execute();
  const propertiesOf = Map.groupBy(properties, (property) => property.image_id);
  const tagsOf = Map.groupBy(tags, (tag) => tag.image_id);
  const locationsOf = Map.groupBy(locations, (location) => location.image_id);
  return rows.map((row) =>
    recordOf(row, {
      properties: propertiesOf.get(row.id) ?? [],
      tags: tagsOf.get(row.id) ?? [],
      locations: locationsOf.get(row.id) ?? [],
    }),
  );
}

interface ImageParts {
  readonly properties: readonly ImagePropertyRow[];
  readonly tags: readonly ImageTagRow[];
  readonly locations: readonly ImageLocationRow[];
}

function recordOf(row: Selectable<ImageRow>, { properties, tags, locations }: ImageParts): ImageRecord {
  return {
    id: row.id,
    name: row.name,
    status: IMAGE_STATUSES.find((status) => status === row.status) ?? 'killed',
    visibility: VISIBILITIES.find((visibility) => visibility === row.visibility) ?? 'private',
    owner: row.owner,
    diskFormat: row.disk_format,
    containerFormat: row.container_format,
    size: row.size === null ? null : Number(row.size),
    virtualSize: row.virtual_size === null ? null : Number(row.virtual_size),
    checksum: row.checksum,
    osHashAlgo: row.os_hash_algo,
    osHashValue: row.os_hash_value,
    minDisk: Number(row.min_disk),
    minRam: Number(row.min_ram),
    protected: row.protected !== 0,
    osHidden: row.os_hidden !== 0,
    properties: Object.fromEntries(properties.map(({ name, value }) => [name, value])),
    // Databases order letters in several ways.
    tags: tags.map(({ tag }) => tag).sort(),
    locations: locations.map(locationOf),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    deletedAt: row.deleted_at === null ? null : Number(row.deleted_at),
    revision: Number(row.revision),
  };
}
