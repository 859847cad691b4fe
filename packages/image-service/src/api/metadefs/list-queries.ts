import type { EntryKind, NamespaceVisibility } from '../../catalog/metadefs/definition.ts';
import { NAMESPACE_VISIBILITIES } from '../../catalog/metadefs/definition.ts';
import type { EntryKey, EntryQuery, MetadefRepo, NamespaceQuery } from '../../catalog/metadefs/repository.ts';
import { badRequest } from '../http-error.ts';
import type { UrlQuery } from '../page.ts';
import { pageLimit, singleValue } from '../page.ts';

/** The names of a URL's sort keys and the fields that they mean. */
const NAMESPACE_KEYS = {
  namespace: 'namespace',
  display_name: 'displayName',
  visibility: 'visibility',
  protected: 'protected',
  owner: 'owner',
  created_at: 'createdAt',
  updated_at: 'updatedAt',
} as const;
const ENTRY_KEYS = { name: 'name', created_at: 'createdAt', updated_at: 'updatedAt' } as const;

/** Filters and order of a list of namespaces. Throws 400. */
export function namespaceQuery(query: UrlQuery): NamespaceQuery {
  const resourceTypes = singleValue(query, 'resource_types');
  return {
    ...visibilityOf(query),
    ...(resourceTypes === undefined ? {} : { resourceTypes: resourceTypes.split(',').map((name) => name.trim()) }),
    sort: sortOf(query, NAMESPACE_KEYS),
  };
}

/** Order and page of a list of entries: all of them unless the caller asks for fewer. Throws 400, 404. */
export async function entryQuery<Kind extends EntryKind>(
  metadefs: MetadefRepo,
  key: EntryKey<Kind>,
  query: UrlQuery,
): Promise<EntryQuery> {
  visibilityOf(query);
  const limit = pageLimit(query, { usual: Infinity, most: Infinity });
  const marker = singleValue(query, 'marker');
  return {
    sort: sortOf(query, ENTRY_KEYS),
    ...(Number.isFinite(limit) ? { limit } : {}),
    ...(marker === undefined ? {} : { after: await metadefs.entry(key, marker) }),
  };
}

function visibilityOf(query: UrlQuery): { readonly visibility?: NamespaceVisibility } {
  const value = singleValue(query, 'visibility');
  if (value === undefined) return {};
  const visibility = NAMESPACE_VISIBILITIES.find((known) => known === value);
  if (visibility === undefined) throw badRequest(`Invalid visibility value: ${value}`);
  return { visibility };
}

function sortOf<Field extends string>(
  query: UrlQuery,
  keys: Readonly<Record<string, Field>>,
): { readonly field: Field; readonly direction: 'asc' | 'desc' } {
  const name = singleValue(query, 'sort_key') ?? 'created_at';
  const field = Object.hasOwn(keys, name) ? keys[name] : undefined;
  if (field === undefined) {
    throw badRequest(`Invalid sort key: ${name}. It must be one of the following: ${Object.keys(keys).join(', ')}.`);
  }
  const direction = singleValue(query, 'sort_dir') ?? 'desc';
  if (direction !== 'asc' && direction !== 'desc') throw badRequest(`Invalid sort direction: ${direction}`);
  return { field, direction };
}
