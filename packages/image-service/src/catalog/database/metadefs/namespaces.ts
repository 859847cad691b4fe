import { randomUUID } from 'node:crypto';
import type { Expression, ExpressionBuilder, ExpressionWrapper, Kysely, Selectable, SqlBool } from 'kysely';
import { CatalogError } from '../../errors.ts';
import type { NamespaceFields, NamespaceRecord } from '../../metadefs/definition.ts';
import { NAMESPACE_VISIBILITIES } from '../../metadefs/definition.ts';
import type { MetadefSort, NamespaceKey, NamespaceQuery, NAMESPACE_SORT_FIELDS } from '../../metadefs/repository.ts';
import type { MetadefNamespaceRow, MetadefTables } from './tables.ts';

type Db = Kysely<MetadefTables>;
type Builder = ExpressionBuilder<MetadefTables, 'metadef_namespaces'>;
type Key = MetadefSort<(typeof NAMESPACE_SORT_FIELDS)[number]>;

/** The namespace of that name, if there is one. */
export async function findNamespace(db: Db, name: string): Promise<NamespaceRecord | undefined> {
  const row = await db.selectFrom('metadef_namespaces').selectAll().where('namespace', '=', name).executeTakeFirst();
  return row === undefined ? undefined : recordOf(row);
}

/** As `findNamespace`. Throws `not_found`. */
export async function requireNamespace(db: Db, name: string): Promise<NamespaceRecord> {
  const found = await findNamespace(db, name);
  if (found === undefined) throw noNamespace(name);
  return found;
}

/** The namespaces that the query means, in its order. */
export async function selectNamespaces(db: Db, query: NamespaceQuery): Promise<readonly NamespaceRecord[]> {
  const { viewer, visibility, resourceTypes, after, limit } = query;
  let rows = db.selectFrom('metadef_namespaces').selectAll();
  if (viewer !== undefined) rows = rows.where((row) => seenBy(row, viewer.projectId));
  if (visibility !== undefined) rows = rows.where('visibility', '=', visibility);
  if (resourceTypes !== undefined) {
    if (resourceTypes.length === 0) return [];
    rows = rows.where((row) => row('id', 'in', namespacesFor(row, resourceTypes)));
  }
  const keys = orderOf(query.sort);
  if (after !== undefined) rows = rows.where((row) => afterMarker(row, keys, after));
  for (const key of keys) rows = rows.orderBy((row) => sortable(row, key), key.direction);
  const found = await (limit === undefined ? rows : rows.limit(limit)).execute();
  return found.map(recordOf);
}

/** Throws `conflict` when the name is taken. */
export async function insertNamespaceRow(db: Db, fields: NamespaceFields, now: number): Promise<NamespaceRecord> {
  const record = { ...fieldsOf(fields), id: randomUUID(), createdAt: now, updatedAt: now };
  const result = await db
    .insertInto('metadef_namespaces')
    .values({ ...columnsOf(record), id: record.id, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.column('namespace').doNothing())
    .executeTakeFirst();
  if (result.numInsertedOrUpdatedRows === 1n) return record;
  throw namespaceTaken(fields.namespace);
}

/** Throws `not_found`, and `conflict` when another namespace has the new name. */
export async function updateNamespaceRow(
  db: Db,
  { id, namespace }: NamespaceKey,
  change: { readonly fields: NamespaceFields; readonly now: number },
): Promise<NamespaceRecord> {
  const { fields, now } = change;
  try {
    const result = await db
      .updateTable('metadef_namespaces')
      .set({ ...columnsOf(fields), updated_at: now })
      .where('id', '=', id)
      .executeTakeFirst();
    if (result.numUpdatedRows !== 1n) throw noNamespace(namespace);
  } catch (error) {
    // Each database tells a broken constraint in its own words; what it means can be looked up in all.
    const holder = error instanceof CatalogError ? undefined : await findNamespace(db, fields.namespace);
    throw holder === undefined || holder.id === id ? error : namespaceTaken(fields.namespace);
  }
  return requireNamespace(db, fields.namespace);
}

/** What is in it goes with it. Throws `not_found`. */
export async function deleteNamespaceRow(db: Db, { id, namespace }: NamespaceKey): Promise<void> {
  const result = await db.deleteFrom('metadef_namespaces').where('id', '=', id).executeTakeFirst();
  if (result.numDeletedRows !== 1n) throw noNamespace(namespace);
}

function noNamespace(name: string): CatalogError {
  return new CatalogError('not_found', `Metadata definition namespace=${name} was not found.`);
}

function namespaceTaken(name: string): CatalogError {
  return new CatalogError('conflict', `The metadata definition namespace=${name} already exists.`);
}

/** The column behind each field. */
const COLUMNS = {
  namespace: 'namespace',
  displayName: 'display_name',
  visibility: 'visibility',
  protected: 'protected',
  owner: 'owner',
  createdAt: 'created_at',
  updatedAt: 'updated_at',
} as const satisfies Record<Key['field'], keyof MetadefNamespaceRow>;

function seenBy(row: Builder, projectId: string | null): Expression<SqlBool> {
  const open = row('visibility', '=', 'public');
  return projectId === null ? open : row.or([open, row('owner', '=', projectId)]);
}

function namespacesFor(row: Builder, resourceTypes: readonly string[]) {
  return row
    .selectFrom('metadef_associations')
    .select('metadef_associations.namespace_id')
    .where('metadef_associations.resource_type', 'in', resourceTypes);
}

/** The whole order: no two namespaces tie, for each has a name of its own. */
function orderOf(sort: Key = { field: 'createdAt', direction: 'desc' }): readonly Key[] {
  const fields = new Set([sort.field, 'createdAt', 'namespace'] as const);
  return [...fields].map((field) => ({ field, direction: sort.direction }));
}

function sortable(
  row: Builder,
  { field }: Key,
): ExpressionWrapper<MetadefTables, 'metadef_namespaces', string | number | null> {
  const column = COLUMNS[field];
  // Namespaces without a value come first in every database.
  return field === 'displayName' || field === 'owner' ? row.fn.coalesce(column, row.val('')) : row.ref(column);
}

/** After the marker: equal in the first keys, beyond it in the next one. */
function afterMarker(row: Builder, keys: readonly Key[], marker: NamespaceRecord): Expression<SqlBool> {
  const valueOf = ({ field }: Key): string | number => {
    const value = marker[field] ?? '';
    return typeof value === 'boolean' ? Number(value) : value;
  };
  return row.or(
    keys.map((key, position) =>
      row.and([
        ...keys.slice(0, position).map((before) => row(sortable(row, before), '=', valueOf(before))),
        row(sortable(row, key), key.direction === 'asc' ? '>' : '<', valueOf(key)),
      ]),
    ),
  );
}

function fieldsOf(fields: NamespaceFields): NamespaceFields {
  const { namespace, displayName, description, visibility, owner } = fields;
  return { namespace, displayName, description, visibility, protected: fields.protected, owner };
}

function columnsOf(fields: NamespaceFields): Omit<MetadefNamespaceRow, 'id' | 'created_at' | 'updated_at'> {
  return {
    namespace: fields.namespace,
    display_name: fields.displayName,
    description: fields.description,
    visibility: fields.visibility,
    protected: fields.protected ? 1 : 0,
    owner: fields.owner,
  };
}

function recordOf(row: Selectable<MetadefNamespaceRow>): NamespaceRecord {
  return {
    id: row.id,
    namespace: row.namespace,
    displayName: row.display_name,
    description: row.description,
    visibility: NAMESPACE_VISIBILITIES.find((visibility) => visibility === row.visibility) ?? 'private',
    protected: row.protected !== 0,
    owner: row.owner,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
