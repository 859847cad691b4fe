import type {
  Association,
  AssociationRecord,
  Entry,
  EntryKind,
  EntryRecord,
  NamespaceDefinition,
  NamespaceFields,
  NamespaceRecord,
  NamespaceVisibility,
  ResourceTypeRecord,
} from './definition.ts';

/** The fields that namespaces can be sorted by. */
export const NAMESPACE_SORT_FIELDS = [
  'namespace',
  'displayName',
  'visibility',
  'protected',
  'owner',
  'createdAt',
  'updatedAt',
] as const;
/** The fields that entries can be sorted by. */
export const ENTRY_SORT_FIELDS = ['name', 'createdAt', 'updatedAt'] as const;

/** One order; ties are decided by time of creation and name, in the same direction. */
export interface MetadefSort<Field extends string> {
  readonly field: Field;
  readonly direction: 'asc' | 'desc';
}

/** Which namespaces to list; newest first unless `sort` says otherwise. */
export interface NamespaceQuery {
  /** Only what this project may see; null: nobody's project. Everything when absent. */
  readonly viewer?: { readonly projectId: string | null };
  readonly visibility?: NamespaceVisibility;
  /** Only namespaces for any of these resource types. */
  readonly resourceTypes?: readonly string[];
  readonly sort?: MetadefSort<(typeof NAMESPACE_SORT_FIELDS)[number]>;
  /** Only what comes after this namespace in the order. */
  readonly after?: NamespaceRecord;
  /** All when absent. */
  readonly limit?: number;
}

/** Which entries of a namespace to list; newest first unless `sort` says otherwise. */
export interface EntryQuery {
  readonly sort?: MetadefSort<(typeof ENTRY_SORT_FIELDS)[number]>;
  /** Only what comes after this entry in the order. */
  readonly after?: EntryRecord;
  /** All when absent. */
  readonly limit?: number;
}

/** The namespace that something is in: its id for the database, its name for messages. */
export type NamespaceKey = Pick<NamespaceRecord, 'id' | 'namespace'>;

/** One kind of entry in one namespace. */
export interface EntryKey<Kind extends EntryKind> {
  readonly namespace: NamespaceKey;
  readonly kind: Kind;
}

/** What `load` does with a namespace that is there already. */
export const LOAD_MODES = ['skip', 'merge', 'prefer-new', 'overwrite'] as const;
/**
 * One of `LOAD_MODES`: leave it, add to it what it does not have, add and replace what it has by what is new, or put the
 * new namespace in its place.
 */
export type LoadMode = (typeof LOAD_MODES)[number];

/** What was done with a definition. */
export type LoadOutcome = 'added' | 'skipped' | 'merged' | 'overwritten';

/** Metadata definitions: which properties and tags other services understand, and what their values mean. */
export interface MetadefRepo {
  /** Throws `not_found`. */
  namespace(name: string): Promise<NamespaceRecord>;
  namespaces(query: NamespaceQuery): Promise<readonly NamespaceRecord[]>;
  /** The namespace and all that is in it, or nothing. Throws `conflict`. */
  insertNamespace(definition: NamespaceDefinition): Promise<NamespaceRecord>;
  /** Throws `not_found`, and `conflict` when another one has the new name. */
  changeNamespace(namespace: NamespaceKey, fields: NamespaceFields): Promise<NamespaceRecord>;
  /** With all that is in it. Throws `not_found`. */
  removeNamespace(namespace: NamespaceKey): Promise<void>;
  /** Brings a definition in as a whole, or not at all. */
  load(definition: NamespaceDefinition, mode: LoadMode): Promise<LoadOutcome>;

  entries<Kind extends EntryKind>(key: EntryKey<Kind>, query?: EntryQuery): Promise<readonly EntryRecord<Kind>[]>;
  /** Throws `not_found`. */
  entry<Kind extends EntryKind>(key: EntryKey<Kind>, name: string): Promise<EntryRecord<Kind>>;
  /** All of them or none. Throws `conflict` when there is one of the same name. */
  insertEntries<Kind extends EntryKind>(
    key: EntryKey<Kind>,
    entries: readonly Entry<Kind>[],
  ): Promise<readonly EntryRecord<Kind>[]>;
  /** As `insertEntries`, in the place of all that there are. */
  replaceEntries<Kind extends EntryKind>(
    key: EntryKey<Kind>,
    entries: readonly Entry<Kind>[],
  ): Promise<readonly EntryRecord<Kind>[]>;
  /** Throws `not_found`, and `conflict` when another one has the new name. */
  changeEntry<Kind extends EntryKind>(
    key: EntryKey<Kind>,
    name: string,
    entry: Entry<Kind>,
  ): Promise<EntryRecord<Kind>>;
  /** Throws `not_found`. */
  removeEntry(key: EntryKey<EntryKind>, name: string): Promise<void>;
  removeEntries(key: EntryKey<EntryKind>): Promise<void>;

  /** In the order of their names. */
  resourceTypes(): Promise<readonly ResourceTypeRecord[]>;
  /** Those of each namespace by its id, in the order of their names. */
  associations(namespaces: readonly NamespaceKey[]): Promise<ReadonlyMap<string, readonly AssociationRecord[]>>;
  /** Makes the resource type when there is none. Throws `conflict`. */
  associate(namespace: NamespaceKey, association: Association): Promise<AssociationRecord>;
  /** Throws `not_found`. */
  dissociate(namespace: NamespaceKey, resourceType: string): Promise<void>;
}
