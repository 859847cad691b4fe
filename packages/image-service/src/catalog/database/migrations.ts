import type { Kysely } from 'kysely';
import { createMetadefs } from './metadefs/migration.ts';
import type { Migration } from './migrate.ts';

/** Every change to the catalogue's tables, in the order of their names; one that was released is never edited. */
export const CATALOG_MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-catalog-images-and-tasks': createImagesAndTasks,
  '0002-catalog-tags-and-members': createTagsAndMembers,
  '0003-catalog-location-forms': addLocationForms,
  '0004-catalog-location-metadata': addLocationMetadata,
  '0005-catalog-metadefs': createMetadefs,
  '0006-catalog-blob-holds': createBlobHolds,
  '0007-catalog-reservations': createReservations,
  '0008-catalog-incoming-holds': createIncomingHolds,
  '0009-catalog-cached-images': createCachedImages,
};

/**
 * Those that a program without them cannot work with: a column or table that it uses is gone or means something else, or
 * one that it does not fill must be filled. The others only add, and older processes go on beside newer ones.
 */
export const BREAKING_CATALOG_MIGRATIONS: ReadonlySet<string> = new Set();

async function createImagesAndTasks(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('images')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(255)')
    .addColumn('status', 'varchar(30)', (column) => column.notNull())
    .addColumn('visibility', 'varchar(30)', (column) => column.notNull())
    .addColumn('owner', 'varchar(255)')
    .addColumn('disk_format', 'varchar(20)')
    .addColumn('container_format', 'varchar(20)')
    .addColumn('size', 'bigint')
    .addColumn('virtual_size', 'bigint')
    .addColumn('checksum', 'varchar(32)')
    .addColumn('os_hash_algo', 'varchar(64)')
    .addColumn('os_hash_value', 'varchar(128)')
    .addColumn('min_disk', 'bigint', (column) => column.notNull())
    .addColumn('min_ram', 'bigint', (column) => column.notNull())
    .addColumn('protected', 'integer', (column) => column.notNull())
    .addColumn('os_hidden', 'integer', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('deleted_at', 'bigint')
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('images_by_age').on('images').columns(['created_at', 'id']).execute();
  await db.schema
    .createTable('image_properties')
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull().references('images.id'))
    .addColumn('name', 'varchar(255)', (column) => column.notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('image_properties_key', ['image_id', 'name'])
    .execute();
  await db.schema
    .createTable('image_locations')
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull().references('images.id'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('store', 'varchar(64)', (column) => column.notNull())
    .addColumn('location', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('image_locations_key', ['image_id', 'position'])
    .execute();
  await createTasks(db);
}

async function createTasks(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tasks')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('type', 'varchar(30)', (column) => column.notNull())
    .addColumn('status', 'varchar(30)', (column) => column.notNull())
    .addColumn('owner', 'varchar(255)')
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('result', 'text')
    .addColumn('message', 'text', (column) => column.notNull())
    .addColumn('error_code', 'varchar(64)')
    .addColumn('image_id', 'varchar(36)')
    .addColumn('request_id', 'varchar(64)')
    .addColumn('user_id', 'varchar(64)')
    .addColumn('expires_at', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('tasks_by_age').on('tasks').columns(['created_at', 'id']).execute();
  await db.schema.createIndex('tasks_of_image').on('tasks').column('image_id').execute();
  await db.schema
    .createTable('catalog_facts')
    .addColumn('name', 'varchar(64)', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
}

async function createTagsAndMembers(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('image_tags')
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull().references('images.id'))
    .addColumn('tag', 'varchar(255)', (column) => column.notNull())
    .addPrimaryKeyConstraint('image_tags_key', ['image_id', 'tag'])
    .execute();
  await db.schema
    .createTable('image_members')
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull().references('images.id'))
    .addColumn('member', 'varchar(255)', (column) => column.notNull())
    .addColumn('status', 'varchar(20)', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('image_members_key', ['image_id', 'member'])
    .execute();
  await db.schema.createIndex('image_members_of_project').on('image_members').column('member').execute();
  await db.schema.createIndex('images_by_name').on('images').column('name').execute();
  await db.schema.createIndex('images_by_owner').on('images').column('owner').execute();
}

/** Locations may hold the image in another format than the one that its record describes. */
async function addLocationForms(db: Kysely<unknown>): Promise<void> {
  const columns = [
    ['disk_format', 'varchar(20)'],
    ['container_format', 'varchar(20)'],
    ['size', 'bigint'],
    ['virtual_size', 'bigint'],
    ['checksum', 'varchar(32)'],
    ['os_hash_algo', 'varchar(64)'],
    ['os_hash_value', 'varchar(128)'],
  ] as const;
  for (const [name, type] of columns) {
    await db.schema.alterTable('image_locations').addColumn(name, type).execute();
  }
}

async function addLocationMetadata(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('image_locations').addColumn('metadata', 'text').execute();
  await db.schema
    .createTable('blob_removals')
    .addColumn('store', 'varchar(64)', (column) => column.notNull())
    .addColumn('location', 'varchar(2048)', (column) => column.notNull())
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('blob_removals_key', ['store', 'location'])
    .execute();
}

async function createBlobHolds(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('blob_holds')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('store', 'varchar(64)', (column) => column.notNull())
    .addColumn('location', 'varchar(2048)', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('blob_holds_of_place').on('blob_holds').columns(['store', 'location']).execute();
}

async function createReservations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('project_counts')
    .addColumn('project', 'varchar(255)', (column) => column.primaryKey())
    .addColumn('counted', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('image_reservations')
    .addColumn('image_id', 'varchar(36)', (column) => column.primaryKey().references('images.id'))
    .addColumn('stored_bytes', 'bigint', (column) => column.notNull())
    .addColumn('staged_bytes', 'bigint', (column) => column.notNull())
    .execute();
}

async function createIncomingHolds(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('incoming_holds')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull())
    .addColumn('node', 'varchar(64)', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .execute();
}

async function createCachedImages(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('cached_images')
    .addColumn('node', 'varchar(255)', (column) => column.notNull())
    .addColumn('image_id', 'varchar(36)', (column) => column.notNull())
    .addPrimaryKeyConstraint('cached_images_key', ['node', 'image_id'])
    .execute();
  await db.schema.createIndex('cached_images_of_image').on('cached_images').column('image_id').execute();
}
