import type { Expression, ExpressionBuilder, Kysely, Selectable, SqlBool } from 'kysely';
import { CatalogError } from '../../errors.ts';
import type { Entry, EntryDocuments, EntryKind, EntryRecord } from '../../metadefs/definition.ts';
import type { ENTRY_SORT_FIELDS, EntryKey, EntryQuery, MetadefSort } from '../../metadefs/repository.ts';
import type { MetadefEntryRow, MetadefTables } from './tables.ts';

type Db = Kysely<MetadefTables>;
type Builder = ExpressionBuilder<MetadefTables, 'metadef_entries'>;
type SortKey = MetadefSort<(typeof ENTRY_SORT_FIELDS)[number]>;

/** Rows in one statement: databases bound the parameters that it may have. */
const ROWS_AT_ONCE = 500;

/** The entries that the query means, in its order. */
export async function selectEntries<Kind extends EntryKind>(
  db: Db,
  key: EntryKey<Kind>,
  { sort, after, limit }: EntryQuery,
): Promise<readonly EntryRecord<Kind>[]> {
  const keys = orderOf(sort);
  let rows = db.selectFrom('metadef_entries').selectAll().where(keyed(key));
  if (after !== undefined) rows = rows.where((row) => afterMarker(row, keys, after));
  for (const { field, direction } of keys) rows = rows.orderBy(COLUMNS[field], direction);
  const found = await (limit === undefined ? rows : rows.limit(limit)).execute();
  return found.map((row) => recordOf<Kind>(row));
}

/** Throws `not_found`. */
export async function requireEntry<Kind extends EntryKind>(
  db: Db,
  key: EntryKey<Kind>,
  name: string,
): Promise<EntryRecord<Kind>> {
  const row = await db
    .selectFrom('metadef_entries')
    .selectAll()
    .where(keyed(key))
    .where('name', '=', name)
    .executeTakeFirst();
  if (row === undefined) throw noEntry(key, name);
  return recordOf(row);
}

/** To be called in a transaction. Throws `conflict` when a name is taken, or stands twice among the entries. */
export async function insertEntryRows<Kind extends EntryKind>(
  db: Db,
  key: EntryKey<Kind>,
  { entries, now }: { readonly entries: readonly Entry<Kind>[]; readonly now: number },
): Promise<readonly EntryRecord<Kind>[]> {
  for (let at = 0; at < entries.length; at += ROWS_AT_ONCE) {
    const some = entries.slice(at, at + ROWS_AT_ONCE);
    const result = await db
      .insertInto('metadef_entries')
      .values(some.map((entry) => rowOf(key, entry, now)))
      .onConflict((conflict) => conflict.columns(['namespace_id', 'kind', 'name']).doNothing())
      .executeTakeFirst();
    if (result.numInsertedOrUpdatedRows !== BigInt(some.length)) throw namesTaken(key, some);
  }
  return entries.map(({ name, document }) => ({ name, document, createdAt: now, updatedAt: now }));
}

/** Inserts the entry, or puts it in the place of the one with its name. */
export async function putEntryRow<Kind extends EntryKind>(
  db: Db,
  key: EntryKey<Kind>,
  {
    entry,
    now,
    existing,
  }: { readonly entry: Entry<Kind>; readonly now: number; readonly existing: 'keep' | 'replace' },
): Promise<void> {
  const row = rowOf(key, entry, now);
  await db
    .insertInto('metadef_entries')
    .values(row)
    .onConflict((conflict) => {
      const taken = conflict.columns(['namespace_id', 'kind', 'name']);
      return existing === 'keep' ? taken.doNothing() : taken.doUpdateSet({ document: row.document, updated_at: now });
    })
    .execute();
}

/** Throws `not_found`, and `conflict` when another entry has the new name. */
export async function updateEntryRow<Kind extends EntryKind>(
  db: Db,
  key: EntryKey<Kind>,
  change: { readonly name: string; readonly entry: Entry<Kind>; readonly now: number },
): Promise<EntryRecord<Kind>> {
  const { name, entry, now } = change;
  try {
    const result = await db
      .updateTable('metadef_entries')
      .set({ name: entry.name, document: JSON.stringify(entry.document), updated_at: now })
      .where(keyed(key))
      .where('name', '=', name)
      .executeTakeFirst();
    if (result.numUpdatedRows !== 1n) throw noEntry(key, name);
  } catch (error) {
    if (error instanceof CatalogError || entry.name === name) throw error;
    // Each database tells a broken constraint in its own words; what it means can be looked up in all.
    throw await requireEntry(db, key, entry.name).then(
      () => entryTaken(key, entry.name),
      () => error,
    );
  }
  return requireEntry(db, key, entry.name);
}

/** Throws `not_found`. */
export async function deleteEntryRow(db: Db, key: EntryKey<EntryKind>, name: string): Promise<void> {
  const result = await db.deleteFrom('metadef_entries').where(keyed(key)).where('name', '=', name).executeTakeFirst();
  if (result.numDeletedRows !== 1n) throw noEntry(key, name);
}

/** All of one kind. */
export async function deleteEntryRows(db: Db, key: EntryKey<EntryKind>): Promise<void> {
  await db.deleteFrom('metadef_entries').where(keyed(key)).execute();
}

const KIND_NAMES: Readonly<Record<EntryKind, string>> = {
  object: 'metadata definition object',
  property: 'metadata definition property',
  tag: 'metadata definition tag',
};

function noEntry({ kind, namespace }: EntryKey<EntryKind>, name: string): CatalogError {
  const text = `The ${KIND_NAMES[kind]} with name=${name} was not found in namespace=${namespace.namespace}.`;
  return new CatalogError('not_found', text);
}

function entryTaken({ kind, namespace }: EntryKey<EntryKind>, name: string): CatalogError {
  const text = `A ${KIND_NAMES[kind]} with name=${name} already exists in namespace=${namespace.namespace}.`;
  return new CatalogError('conflict', text);
}

function namesTaken(key: EntryKey<EntryKind>, entries: readonly Entry[]): CatalogError {
  const [first] = entries;
  if (entries.length === 1 && first !== undefined) return entryTaken(key, first.name);
  const text = `A ${KIND_NAMES[key.kind]} with one of these names already exists in namespace=${key.namespace.namespace}.`;
  return new CatalogError('conflict', text);
}

const COLUMNS = { name: 'name', createdAt: 'created_at', updatedAt: 'updated_at' } as const satisfies Record<
  SortKey['field'],
  keyof MetadefEntryRow
>;

function keyed({ namespace, kind }: EntryKey<EntryKind>): (row: Builder) => Expression<SqlBool> {
  return (row) => row.and([row('namespace_id', '=', namespace.id), row('kind', '=', kind)]);
}

/** The whole order: no two entries tie, for each has a name of its own. */
function orderOf(sort: SortKey = { field: 'createdAt', direction: 'desc' }): readonly SortKey[] {
  const fields = new Set([sort.field, 'createdAt', 'name'] as const);
  return [...fields].map((field) => ({ field, direction: sort.direction }));
}

/** After the marker: equal in the first keys, beyond it in the next one. */
function afterMarker(row: Builder, keys: readonly SortKey[], marker: EntryRecord): Expression<SqlBool> {
  return row.or(
    keys.map(({ field, direction }, position) =>
      row.and([
        ...keys.slice(0, position).map((before) => row(COLUMNS[before.field], '=', marker[before.field])),
        row(COLUMNS[field], direction === 'asc' ? '>' : '<', marker[field]),
      ]),
    ),
  );
}

function rowOf({ namespace, kind }: EntryKey<EntryKind>, { name, document }: Entry, now: number): MetadefEntryRow {
  const text = JSON.stringify(document);
  return { namespace_id: namespace.id, kind, name, document: text, created_at: now, updated_at: now };
}

function recordOf<Kind extends EntryKind>(row: Selectable<MetadefEntryRow>): EntryRecord<Kind> {
  return {
    name: row.name,
    document: JSON.parse(row.document) as EntryDocuments[Kind],
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
