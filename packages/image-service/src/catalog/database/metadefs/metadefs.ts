import type { Kysely } from 'kysely';
import type { EntryKind, NamespaceDefinition, NamespaceRecord } from '../../metadefs/definition.ts';
import { ENTRY_KINDS } from '../../metadefs/definition.ts';
import type { LoadMode, LoadOutcome, MetadefRepo, NamespaceKey } from '../../metadefs/repository.ts';
import {
  deleteAssociation,
  insertAssociation,
  putAssociation,
  selectAssociations,
  selectResourceTypes,
} from './associations.ts';
import {
  deleteEntryRow,
  deleteEntryRows,
  insertEntryRows,
  putEntryRow,
  requireEntry,
  selectEntries,
  updateEntryRow,
} from './entries.ts';
import {
  deleteNamespaceRow,
  findNamespace,
  insertNamespaceRow,
  requireNamespace,
  selectNamespaces,
  updateNamespaceRow,
} from './namespaces.ts';
import type { MetadefTables } from './tables.ts';

type Db = Kysely<MetadefTables>;
type RunTogether = <T>(work: (db: Db) => Promise<T>) => Promise<T>;

/** The metadata definitions in the database. `now` gives milliseconds since 1970. */
export function metadefTables(db: Db, now: () => number): MetadefRepo {
  const together: RunTogether = (work) => db.transaction().execute(work);
  return {
    namespace: (name) => requireNamespace(db, name),
    namespaces: (query) => selectNamespaces(db, query),
    insertNamespace: (definition) => together((inside) => insertWhole(inside, definition, now())),
    changeNamespace: (key, fields) => updateNamespaceRow(db, key, { fields, now: now() }),
    removeNamespace: (key) => deleteNamespaceRow(db, key),
    load: (definition, mode) => together((inside) => load(inside, definition, { mode, now: now() })),
    entries: (key, query = {}) => selectEntries(db, key, query),
    entry: (key, name) => requireEntry(db, key, name),
    insertEntries: (key, entries) => together((inside) => insertEntryRows(inside, key, { entries, now: now() })),
    replaceEntries: (key, entries) =>
      together(async (inside) => {
        await deleteEntryRows(inside, key);
        return insertEntryRows(inside, key, { entries, now: now() });
      }),
    changeEntry: (key, name, entry) => updateEntryRow(db, key, { name, entry, now: now() }),
    removeEntry: (key, name) => deleteEntryRow(db, key, name),
    removeEntries: (key) => deleteEntryRows(db, key),
    resourceTypes: () => selectResourceTypes(db),
    associations: (namespaces) => selectAssociations(db, namespaces),
    associate: (key, association) => together((inside) => insertAssociation(inside, key, { association, now: now() })),
    dissociate: (key, resourceType) => deleteAssociation(db, key, resourceType),
  };
}

async function insertWhole(db: Db, definition: NamespaceDefinition, now: number): Promise<NamespaceRecord> {
  const namespace = await insertNamespaceRow(db, definition, now);
  for (const association of definition.associations) await insertAssociation(db, namespace, { association, now });
  for (const kind of ENTRY_KINDS) {
    await insertEntryRows<EntryKind>(db, { namespace, kind }, { entries: definition.entries[kind], now });
  }
  return namespace;
}

async function load(
  db: Db,
  definition: NamespaceDefinition,
  { mode, now }: { readonly mode: LoadMode; readonly now: number },
): Promise<LoadOutcome> {
  const there = await findNamespace(db, definition.namespace);
  if (there === undefined) {
    await insertWhole(db, definition, now);
    return 'added';
  }
  if (mode === 'skip') return 'skipped';
  if (mode === 'overwrite') {
    await deleteNamespaceRow(db, there);
    await insertWhole(db, definition, now);
    return 'overwritten';
  }
  if (mode === 'prefer-new') await updateNamespaceRow(db, there, { fields: definition, now });
  await merge(db, there, { definition, now, existing: mode === 'prefer-new' ? 'replace' : 'keep' });
  return 'merged';
}

interface Merge {
  readonly definition: NamespaceDefinition;
  readonly now: number;
  /** What becomes of what both have. */
  readonly existing: 'keep' | 'replace';
}

async function merge(db: Db, namespace: NamespaceKey, { definition, ...rest }: Merge): Promise<void> {
  for (const association of definition.associations) await putAssociation(db, namespace, { association, ...rest });
  for (const kind of ENTRY_KINDS) {
    for (const entry of definition.entries[kind]) {
      await putEntryRow<EntryKind>(db, { namespace, kind }, { entry, ...rest });
    }
  }
}
