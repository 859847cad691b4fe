/** One row for each namespace; booleans are 0 or 1, times are milliseconds since 1970. */
export interface MetadefNamespaceRow {
  id: string;
  namespace: string;
  display_name: string | null;
  description: string | null;
  visibility: string;
  protected: number;
  owner: string | null;
  created_at: number;
  updated_at: number;
}

/** One row for each object, property and tag; `document` is JSON. */
export interface MetadefEntryRow {
  namespace_id: string;
  kind: string;
  name: string;
  document: string;
  created_at: number;
  updated_at: number;
}

/** One row for each resource type that was ever named. */
export interface MetadefResourceTypeRow {
  name: string;
  created_at: number;
  updated_at: number;
}

/** One row for each resource type of a namespace. */
export interface MetadefAssociationRow {
  namespace_id: string;
  resource_type: string;
  prefix: string | null;
  properties_target: string | null;
  created_at: number;
  updated_at: number;
}

/** The tables of metadata definitions. */
export interface MetadefTables {
  metadef_namespaces: MetadefNamespaceRow;
  metadef_entries: MetadefEntryRow;
  metadef_resource_types: MetadefResourceTypeRow;
  metadef_associations: MetadefAssociationRow;
}
