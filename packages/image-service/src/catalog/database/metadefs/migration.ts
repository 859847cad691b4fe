import type { Kysely } from 'kysely';

/** Makes the tables of `tables.ts`. What is in a namespace goes with it. */
export async function createMetadefs(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('metadef_namespaces')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('namespace', 'varchar(80)', (column) => column.notNull().unique())
    .addColumn('display_name', 'varchar(80)')
    .addColumn('description', 'text')
    .addColumn('visibility', 'varchar(32)', (column) => column.notNull())
    .addColumn('protected', 'integer', (column) => column.notNull())
    .addColumn('owner', 'varchar(255)')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('metadef_entries')
    .addColumn('namespace_id', 'varchar(36)', (column) =>
      column.notNull().references('metadef_namespaces.id').onDelete('cascade'),
    )
    .addColumn('kind', 'varchar(16)', (column) => column.notNull())
    .addColumn('name', 'varchar(80)', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('metadef_entries_key', ['namespace_id', 'kind', 'name'])
    .execute();
  await createResourceTypes(db);
}

async function createResourceTypes(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('metadef_resource_types')
    .addColumn('name', 'varchar(80)', (column) => column.primaryKey())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('metadef_associations')
    .addColumn('namespace_id', 'varchar(36)', (column) =>
      column.notNull().references('metadef_namespaces.id').onDelete('cascade'),
    )
    .addColumn('resource_type', 'varchar(80)', (column) => column.notNull().references('metadef_resource_types.name'))
    .addColumn('prefix', 'varchar(80)')
    .addColumn('properties_target', 'varchar(80)')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('metadef_associations_key', ['namespace_id', 'resource_type'])
    .execute();
  await db.schema
    .createIndex('metadef_associations_of_type')
    .on('metadef_associations')
    .column('resource_type')
    .execute();
}
