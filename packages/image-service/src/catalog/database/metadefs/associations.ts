import type { Kysely, Selectable } from 'kysely';
import { CatalogError } from '../../errors.ts';
import type { Association, AssociationRecord, ResourceTypeRecord } from '../../metadefs/definition.ts';
import type { NamespaceKey } from '../../metadefs/repository.ts';
import type { MetadefAssociationRow, MetadefTables } from './tables.ts';

type Db = Kysely<MetadefTables>;

/** Every resource type, in the order of their names. */
export async function selectResourceTypes(db: Db): Promise<readonly ResourceTypeRecord[]> {
  const rows = await db.selectFrom('metadef_resource_types').selectAll().orderBy('name').execute();
  return rows.map((row) => ({
    name: row.name,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  }));
}

/** The associations of each namespace by its id, in the order of their names. */
export async function selectAssociations(
  db: Db,
  namespaces: readonly NamespaceKey[],
): Promise<ReadonlyMap<string, readonly AssociationRecord[]>> {
  if (namespaces.length === 0) return new Map();
  const ids = namespaces.map(({ id }) => id);
  const rows = await db
    .selectFrom('metadef_associations')
    .selectAll()
    .where('namespace_id', 'in', ids)
    .orderBy('resource_type')
    .execute();
  const grouped = Map.groupBy(rows, (row) => row.namespace_id);
  return new Map([...grouped].map(([id, ofNamespace]) => [id, ofNamespace.map(recordOf)]));
}

/** To be called in a transaction. Makes the resource type when there is none. Throws `conflict`. */
export async function insertAssociation(
  db: Db,
  { id, namespace }: NamespaceKey,
  { association, now }: { readonly association: Association; readonly now: number },
): Promise<AssociationRecord> {
  await insertResourceType(db, association.name, now);
  const result = await db
    .insertInto('metadef_associations')
    .values({ ...columnsOf(id, association), created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.columns(['namespace_id', 'resource_type']).doNothing())
    .executeTakeFirst();
  if (result.numInsertedOrUpdatedRows === 1n) return { ...association, createdAt: now, updatedAt: now };
  const text = `The metadata definition resource-type association of resource-type=${association.name} to namespace=${namespace} already exists.`;
  throw new CatalogError('conflict', text);
}

/** To be called in a transaction. Inserts the association, or puts it in the place of the one with that resource type. */
export async function putAssociation(
  db: Db,
  { id }: NamespaceKey,
  change: { readonly association: Association; readonly now: number; readonly existing: 'keep' | 'replace' },
): Promise<void> {
  const { association, now, existing } = change;
  await insertResourceType(db, association.name, now);
  const { prefix, properties_target } = columnsOf(id, association);
  await db
    .insertInto('metadef_associations')
    .values({ ...columnsOf(id, association), created_at: now, updated_at: now })
    .onConflict((conflict) => {
      const taken = conflict.columns(['namespace_id', 'resource_type']);
      return existing === 'keep'
        ? taken.doNothing()
        : taken.doUpdateSet({ prefix, properties_target, updated_at: now });
    })
    .execute();
}

/** Throws `not_found`. */
export async function deleteAssociation(db: Db, { id }: NamespaceKey, resourceType: string): Promise<void> {
  const result = await db
    .deleteFrom('metadef_associations')
    .where('namespace_id', '=', id)
    .where('resource_type', '=', resourceType)
    .executeTakeFirst();
  if (result.numDeletedRows === 1n) return;
  throw new CatalogError('not_found', `Failed to find resource type ${resourceType} to delete`);
}

async function insertResourceType(db: Db, name: string, now: number): Promise<void> {
  await db
    .insertInto('metadef_resource_types')
    .values({ name, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
}

function columnsOf(
  id: string,
  { name, prefix, propertiesTarget }: Association,
): Omit<MetadefAssociationRow, 'created_at' | 'updated_at'> {
  return { namespace_id: id, resource_type: name, prefix, properties_target: propertiesTarget };
}

function recordOf(row: Selectable<MetadefAssociationRow>): AssociationRecord {
  return {
    name: row.resource_type,
    prefix: row.prefix,
    propertiesTarget: row.properties_target,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
