import type {
  Association,
  AssociationRecord,
  Entry,
  EntryRecord,
  NamespaceDefinition,
  NamespaceFields,
  NamespaceRecord,
  PropertyDefinition,
  ResourceTypeRecord,
} from '../../catalog/metadefs/definition.ts';
import { timeText } from '../image-document.ts';
import { isObject } from '../json-body.ts';

type Json = Readonly<Record<string, unknown>>;

/** What is in a namespace. */
export interface NamespaceContent {
  readonly associations: readonly AssociationRecord[];
  readonly objects: readonly EntryRecord<'object'>[];
  readonly properties: readonly EntryRecord<'property'>[];
  readonly tags: readonly EntryRecord<'tag'>[];
}

/** Where namespaces are. */
export const NAMESPACES_PATH = '/v2/metadefs/namespaces';

/** What callers are told of a namespace; lists and what has no value are left out where there is nothing. */
export function namespaceDocument(namespace: NamespaceRecord, content: Partial<NamespaceContent> = {}): Json {
  const { associations = [], objects = [], properties = [], tags = [] } = content;
  return {
    namespace: namespace.namespace,
    ...given('display_name', namespace.displayName),
    ...given('description', namespace.description),
    visibility: namespace.visibility,
    protected: namespace.protected,
    ...given('owner', namespace.owner),
    ...timesOf(namespace),
    self: namespacePath(namespace.namespace),
    schema: '/v2/schemas/metadefs/namespace',
    ...listed('resource_type_associations', associations.map(associationDocument)),
    ...listed(
      'objects',
      objects.map((object) => objectDocument(namespace.namespace, object)),
    ),
    ...(properties.length === 0 ? {} : { properties: propertiesDocument(properties) }),
    ...listed(
      'tags',
      tags.map(({ name }) => ({ name })),
    ),
  };
}

/** The path of a namespace, or of something in it. Colons stay as they are, for names are full of them. */
export function namespacePath(...names: readonly string[]): string {
  return [NAMESPACES_PATH, ...names.map((name) => encodeURIComponent(name).replaceAll('%3A', ':'))].join('/');
}

/** What callers are told of an object. */
export function objectDocument(namespace: string, { name, document, ...times }: EntryRecord<'object'>): Json {
  return {
    name,
    ...given('description', document.description),
    required: document.required,
    properties: document.properties,
    ...timesOf(times),
    self: namespacePath(namespace, 'objects', name),
    schema: '/v2/schemas/metadefs/object',
  };
}

/** Properties by their names. */
export function propertiesDocument(properties: readonly Entry<'property'>[]): Json {
  return Object.fromEntries(properties.map(({ name, document }) => [name, document]));
}

/** What callers are told of one property. */
export function propertyDocument({ name, document }: Entry<'property'>): Json {
  return { ...document, name };
}

/** What callers are told of one tag. */
export function tagDocument({ name, ...times }: EntryRecord<'tag'>): Json {
  return { name, ...timesOf(times) };
}

/** What callers are told of an association. */
export function associationDocument(association: AssociationRecord): Json {
  return {
    name: association.name,
    ...given('prefix', association.prefix),
    ...given('properties_target', association.propertiesTarget),
    ...timesOf(association),
  };
}

/** What callers are told of a resource type. */
export function resourceTypeDocument(resourceType: ResourceTypeRecord): Json {
  return { name: resourceType.name, ...timesOf(resourceType) };
}

function timesOf({ createdAt, updatedAt }: Pick<ResourceTypeRecord, 'createdAt' | 'updatedAt'>): Json {
  return { created_at: timeText(createdAt), updated_at: timeText(updatedAt) };
}

function given(name: string, value: unknown): Json {
  return value === null ? {} : { [name]: value };
}

function listed(name: string, items: readonly unknown[]): Json {
  return items.length === 0 ? {} : { [name]: items };
}

/** The namespace that a document describes, with all that is in it; the document was checked against the schema. */
export function namespaceOf(document: Json, owner: string | null): NamespaceDefinition {
  return {
    ...namespaceFieldsOf(document, owner),
    associations: objectsIn(document['resource_type_associations']).map(associationOf),
    entries: {
      object: objectsIn(document['objects']).map(objectOf),
      property: Object.entries(propertiesIn(document['properties'])).map(([name, definition]) => ({
        name,
        document: definition,
      })),
      tag: objectsIn(document['tags']).map(tagOf),
    },
  };
}

/** What a checked document says of the namespace itself. */
export function namespaceFieldsOf(document: Json, owner: string | null): NamespaceFields {
  return {
    namespace: String(document['namespace']),
    displayName: textOf(document['display_name']),
    description: textOf(document['description']),
    visibility: document['visibility'] === 'public' ? 'public' : 'private',
    protected: document['protected'] === true,
    owner: textOf(document['owner']) ?? owner,
  };
}

/** The object that a checked document describes. */
export function objectOf(document: Json): Entry<'object'> {
  const { required } = document;
  return {
    name: String(document['name']),
    document: {
      description: textOf(document['description']),
      required: Array.isArray(required) ? required.map(String) : [],
      properties: propertiesIn(document['properties']),
    },
  };
}

/** The property that a checked document describes. */
export function propertyOf({ name, ...definition }: Json): Entry<'property'> {
  return { name: String(name), document: definition };
}

/** The tag that a checked document describes. */
export function tagOf(document: Json): Entry<'tag'> {
  return { name: String(document['name']), document: {} };
}

/** The association that a checked document describes. */
export function associationOf(document: Json): Association {
  return {
    name: String(document['name']),
    prefix: textOf(document['prefix']),
    propertiesTarget: textOf(document['properties_target']),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function objectsIn(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Properties by their names; a name inside one would only repeat it. */
function propertiesIn(value: unknown): Readonly<Record<string, PropertyDefinition>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value)
      .filter((named): named is [string, Json] => isObject(named[1]))
      .map(([name, { name: _repeated, ...definition }]) => [name, definition]),
  );
}
