import { NAMESPACE_VISIBILITIES } from '../../catalog/metadefs/definition.ts';
import type { JsonSchema } from '../image-schema.ts';

/** The most characters of any name. */
const MAX_NAME_LENGTH = 80;

const TEXT = { type: 'string' };
const FLAG = { type: 'boolean' };
const NAME = { type: 'string', minLength: 1, maxLength: MAX_NAME_LENGTH };
const READ_ONLY_TEXT = { type: 'string', readOnly: true };
const COUNT = { $ref: '#/definitions/positiveInteger' };
const COUNT_OR_0 = { $ref: '#/definitions/positiveIntegerDefault0' };
const TEXTS = { $ref: '#/definitions/stringArray' };
const PROPERTIES = { $ref: '#/definitions/property' };
const VALUE_TYPE = { type: 'string', enum: ['array', 'boolean', 'integer', 'number', 'object', 'string'] };

/** When something was made and last changed. */
const TIMES = {
  created_at: { type: 'string', format: 'date-time', readOnly: true, description: 'When it was made' },
  updated_at: { type: 'string', format: 'date-time', readOnly: true, description: 'When it was last changed' },
};

/** What can be said of a property: a part of the vocabulary of JSON schemas. */
const PROPERTY_RULES = {
  name: NAME,
  title: { ...TEXT, description: 'What people read in its place' },
  description: TEXT,
  type: VALUE_TYPE,
  operators: { type: 'array', items: TEXT, description: 'How a value may be compared: <in>, <or>, >= and such' },
  required: TEXTS,
  readonly: FLAG,
  confidential: FLAG,
  default: {},
  enum: { type: 'array', description: 'The values that there are' },
  minimum: { type: 'number' },
  maximum: { type: 'number' },
  minLength: COUNT_OR_0,
  maxLength: COUNT,
  pattern: { ...TEXT, description: 'A regular expression that values match' },
  items: { type: 'object', properties: { type: VALUE_TYPE, enum: { type: 'array' } }, required: ['type'] },
  minItems: COUNT_OR_0,
  maxItems: COUNT,
  uniqueItems: { ...FLAG, default: false },
  additionalItems: FLAG,
};

const COUNT_DEFINITIONS = {
  positiveInteger: { type: 'integer', minimum: 0 },
  positiveIntegerDefault0: { allOf: [COUNT, { default: 0 }] },
  stringArray: { type: 'array', items: TEXT, uniqueItems: true },
};

const DEFINITIONS = {
  ...COUNT_DEFINITIONS,
  property: {
    type: 'object',
    propertyNames: { maxLength: MAX_NAME_LENGTH },
    additionalProperties: {
      type: 'object',
      properties: PROPERTY_RULES,
      required: ['title', 'type'],
      additionalProperties: false,
    },
  },
};

const ASSOCIATION_RULES = {
  name: { ...NAME, description: 'A resource type, as Heat calls it where Heat has it: OS::Nova::Flavor' },
  prefix: {
    ...TEXT,
    maxLength: MAX_NAME_LENGTH,
    description: 'Comes before the names of properties that are set on such a resource, its separator included',
  },
  properties_target: {
    ...TEXT,
    maxLength: MAX_NAME_LENGTH,
    description: 'Which properties are meant where a resource has several sets: image, of a volume',
  },
  ...TIMES,
};

const OBJECT_RULES = {
  name: NAME,
  description: TEXT,
  required: TEXTS,
  properties: PROPERTIES,
  self: READ_ONLY_TEXT,
  schema: READ_ONLY_TEXT,
  ...TIMES,
};

const TAG_RULES = { name: NAME, ...TIMES };

/** An object in a list, that may have nothing but what is said of it. */
function closed(properties: JsonSchema): JsonSchema {
  return { type: 'object', properties, required: ['name'], additionalProperties: false };
}

/** The schema of a namespace with all that is in it. */
export const NAMESPACE_SCHEMA: JsonSchema = {
  name: 'namespace',
  properties: {
    namespace: { ...NAME, description: 'The name of the namespace, unlike all others' },
    display_name: { ...TEXT, maxLength: MAX_NAME_LENGTH, description: 'What people read in its place' },
    description: { ...TEXT, maxLength: 500, description: 'What the namespace is for' },
    visibility: {
      ...TEXT,
      enum: [...NAMESPACE_VISIBILITIES],
      description: 'Who may see it: all, or its project alone',
    },
    protected: { ...FLAG, description: 'If true, nothing of it can be deleted' },
    owner: { ...TEXT, maxLength: 255, description: 'The project that it belongs to' },
    self: READ_ONLY_TEXT,
    schema: READ_ONLY_TEXT,
    ...TIMES,
    resource_type_associations: { type: 'array', items: closed(ASSOCIATION_RULES) },
    properties: PROPERTIES,
    objects: { type: 'array', items: closed(OBJECT_RULES) },
    tags: { type: 'array', items: closed(TAG_RULES) },
  },
  required: ['namespace'],
  additionalProperties: false,
  definitions: DEFINITIONS,
};

/** The schema of an object: a group of properties. */
export const OBJECT_SCHEMA: JsonSchema = {
  name: 'object',
  properties: OBJECT_RULES,
  required: ['name'],
  additionalProperties: false,
  definitions: DEFINITIONS,
};

/** The schema of a property by itself. */
export const PROPERTY_SCHEMA: JsonSchema = {
  name: 'property',
  properties: PROPERTY_RULES,
  required: ['name', 'title', 'type'],
  additionalProperties: false,
  definitions: COUNT_DEFINITIONS,
};

/** The schema of a tag. */
export const TAG_SCHEMA: JsonSchema = {
  name: 'tag',
  properties: TAG_RULES,
  required: ['name'],
  additionalProperties: false,
};

/** The schema of many new tags. */
export const NEW_TAGS_SCHEMA: JsonSchema = {
  name: 'tags',
  properties: { tags: { type: 'array', items: closed({ name: NAME }) } },
  required: ['tags'],
  additionalProperties: false,
};

/** The schema of what binds a namespace to a resource type. */
export const ASSOCIATION_SCHEMA: JsonSchema = {
  name: 'resource_type_association',
  properties: ASSOCIATION_RULES,
  required: ['name'],
  additionalProperties: false,
};

/** Every schema of metadata definitions by its name below `/v2/schemas/metadefs/`. */
export const METADEF_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  namespace: NAMESPACE_SCHEMA,
  namespaces: listSchema('namespaces', NAMESPACE_SCHEMA),
  resource_type: ASSOCIATION_SCHEMA,
  resource_types: listSchema('resource_type_associations', ASSOCIATION_SCHEMA),
  property: PROPERTY_SCHEMA,
  properties: listSchema('properties', PROPERTY_SCHEMA),
  object: OBJECT_SCHEMA,
  objects: listSchema('objects', OBJECT_SCHEMA),
  tag: TAG_SCHEMA,
  tags: listSchema('tags', TAG_SCHEMA),
};

/** The schema of a list. Properties are listed by their names, which they do not repeat. */
function listSchema(name: string, { definitions, ...item }: JsonSchema): JsonSchema {
  const things =
    name === 'properties'
      ? { type: 'object', additionalProperties: { type: 'object', ...item, required: ['title', 'type'] } }
      : { type: 'array', items: { type: 'object', ...item } };
  return {
    name,
    properties: { [name]: things, first: TEXT, next: TEXT, schema: TEXT },
    links: [
      { rel: 'first', href: '{first}' },
      { rel: 'next', href: '{next}' },
      { rel: 'describedby', href: '{schema}' },
    ],
    ...(definitions === undefined ? {} : { definitions }),
  };
}
