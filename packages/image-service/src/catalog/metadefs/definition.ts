/** Who may see a namespace: everybody, its owner's project alone. */
export const NAMESPACE_VISIBILITIES = ['public', 'private'] as const;
/** One of `NAMESPACE_VISIBILITIES`. */
export type NamespaceVisibility = (typeof NAMESPACE_VISIBILITIES)[number];

/** What may be said of a namespace itself. */
export interface NamespaceFields {
  /** `OS::Compute::Hypervisor`; unique, at most 80 characters. */
  readonly namespace: string;
  readonly displayName: string | null;
  readonly description: string | null;
  readonly visibility: NamespaceVisibility;
  /** Neither it nor anything in it can be deleted. */
  readonly protected: boolean;
  /** The project that it belongs to; null: nobody. */
  readonly owner: string | null;
}

/** A namespace as it is recorded. Times in milliseconds since 1970. */
export interface NamespaceRecord extends NamespaceFields {
  /** Never shown; a namespace keeps it when its name changes. */
  readonly id: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Type, title and limits of the values of a property: a JSON schema in the vocabulary of `schemas/metadefs/property`. */
export type PropertyDefinition = Readonly<Record<string, unknown>>;

/** What a namespace holds under names of its own. */
export const ENTRY_KINDS = ['object', 'property', 'tag'] as const;
/** One of `ENTRY_KINDS`. */
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** What is said of each kind of entry beside its name. */
export interface EntryDocuments {
  /** A group of properties. */
  readonly object: {
    readonly description: string | null;
    readonly required: readonly string[];
    readonly properties: Readonly<Record<string, PropertyDefinition>>;
  };
  readonly property: PropertyDefinition;
  readonly tag: Readonly<Record<string, never>>;
}

/** A new entry, or what an entry becomes. */
export interface Entry<Kind extends EntryKind = EntryKind> {
  readonly name: string;
  readonly document: EntryDocuments[Kind];
}

/** An entry as it is recorded. */
export interface EntryRecord<Kind extends EntryKind = EntryKind> extends Entry<Kind> {
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A kind of thing in other services that a namespace is for, such as `OS::Nova::Flavor`. */
export interface ResourceTypeRecord {
  readonly name: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** That a namespace is for a resource type. */
export interface Association {
  /** The resource type's name. */
  readonly name: string;
  /** Comes before the names of the properties where they are set on such a thing: `hw_`. */
  readonly prefix: string | null;
  /** Which of several sets of keys and values of such a thing is meant: `image` of a volume. */
  readonly propertiesTarget: string | null;
}

/** An association as it is recorded. */
export interface AssociationRecord extends Association, ResourceTypeRecord {}

/** A namespace with all that is in it, as somebody describes it. */
export interface NamespaceDefinition extends NamespaceFields {
  readonly associations: readonly Association[];
  readonly entries: { readonly [Kind in EntryKind]: readonly Entry<Kind>[] };
}
