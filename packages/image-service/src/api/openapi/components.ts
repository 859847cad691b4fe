import type { ApiSettings } from '../api-parts.ts';
import type { JsonSchema } from '../image-schema.ts';
import { servedSchemas } from '../schema-routes.ts';
import { ref } from './operation.ts';

const TEXT = { type: 'string' };
const TEXT_OR_NULL = { type: ['string', 'null'] };
const FLAG = { type: 'boolean' };
const COUNT = { type: 'integer', minimum: 0 };
const COUNT_OR_NULL = { type: ['integer', 'null'], minimum: 0 };
const ANY_OBJECT = { type: 'object' };

/** Every schema that operations name. */
export function componentSchemas(settings: ApiSettings): Readonly<Record<string, JsonSchema>> {
  return { ...documentSchemas(settings), ...serviceSchemas(settings), ...requestSchemas(settings), error: ERROR };
}

/** The schemas that are served below `/v2/schemas`, their parts by name where they would stand more than once. */
function documentSchemas(settings: ApiSettings): Readonly<Record<string, JsonSchema>> {
  const served = Object.entries(servedSchemas(settings));
  const definitions: Record<string, unknown> = {};
  const schemas = served.map(([path, { name: _name, links: _links, definitions: own, ...rules }]) => {
    Object.assign(definitions, own);
    return [componentName(path), { type: 'object', ...rules }] as const;
  });
  const all: Record<string, JsonSchema> = Object.fromEntries([
    ...schemas,
    ...Object.entries(definitions).map(([name, schema]) => [`metadefs.types.${name}`, schema]),
  ]);
  for (const [list, key, item] of LISTS) all[list] = listSchema(key, ref(item));
  all['metadefs.properties'] = propertiesSchema(all['metadefs.property']);
  all['metadefs.namespace'] = namespaceSchema(all['metadefs.namespace']);
  all['task'] = { ...all['task'], ...taskSchema(all['task']) };
  return withComponentReferences(all);
}

/** `metadefs/namespace` becomes `metadefs.namespace`. */
function componentName(path: string): string {
  return path.replaceAll('/', '.');
}

const LISTS = [
  ['images', 'images', 'image'],
  ['members', 'members', 'member'],
  ['tasks', 'tasks', 'task'],
  ['metadefs.namespaces', 'namespaces', 'metadefs.namespace'],
  ['metadefs.objects', 'objects', 'metadefs.object'],
  ['metadefs.tags', 'tags', 'metadefs.tag'],
  ['metadefs.resource_types', 'resource_type_associations', 'metadefs.resource_type'],
] as const satisfies readonly (readonly [list: string, key: string, item: string])[];

function listSchema(key: string, item: JsonSchema): JsonSchema {
  return {
    type: 'object',
    properties: {
      [key]: { type: 'array', items: item },
      first: { ...TEXT, description: 'Where the first page is' },
      next: { ...TEXT, description: 'Where the next page is, when there may be one' },
      schema: TEXT,
    },
    required: [key],
    additionalProperties: false,
  };
}

/** Properties are listed by their names, which they do not repeat. */
function propertiesSchema(property: JsonSchema | undefined): JsonSchema {
  return {
    type: 'object',
    properties: {
      properties: { type: 'object', additionalProperties: { ...property, required: ['title', 'type'] } },
      schema: TEXT,
    },
    required: ['properties'],
    additionalProperties: false,
  };
}

/** What is in a namespace looks as it does by itself. */
function namespaceSchema(served: JsonSchema | undefined): JsonSchema {
  const parts = {
    objects: { type: 'array', items: ref('metadefs.object') },
    tags: { type: 'array', items: ref('metadefs.tag') },
    resource_type_associations: { type: 'array', items: ref('metadefs.resource_type') },
  };
  return { ...served, properties: { ...(served?.['properties'] as JsonSchema | undefined), ...parts } };
}

/** What Glance's schema does not have, and that nothing else is told. */
function taskSchema(served: JsonSchema | undefined): JsonSchema {
  return {
    properties: {
      ...(served?.['properties'] as JsonSchema | undefined),
      error_code: { ...TEXT_OR_NULL, readOnly: true, description: 'A stable word for why the task failed' },
      progress: { oneOf: [{ type: 'null' }, ref('progress')], readOnly: true, description: 'How far it is' },
    },
    required: ['id', 'type', 'status'],
    additionalProperties: false,
  };
}

function withComponentReferences(schemas: Readonly<Record<string, JsonSchema>>): Readonly<Record<string, JsonSchema>> {
  const text = JSON.stringify(schemas).replaceAll('"#/definitions/', '"#/components/schemas/metadefs.types.');
  return JSON.parse(text) as Readonly<Record<string, JsonSchema>>;
}

const ERROR: JsonSchema = {
  type: 'object',
  properties: {
    code: { ...TEXT, description: 'The status with its name: 404 Not Found' },
    title: { ...TEXT, description: 'The name of the status' },
    message: { ...TEXT, description: 'What is wrong, in one sentence' },
    error_code: { ...TEXT, description: 'A stable word for it, where there is one beyond the status' },
  },
  required: ['code', 'title', 'message'],
  additionalProperties: false,
};

/** An object of exactly these values, of which those in `optional` may be absent. */
function closed(properties: Readonly<Record<string, unknown>>, ...optional: readonly string[]): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

/** What the service tells of itself. */
function serviceSchemas({ importMethods }: ApiSettings): Readonly<Record<string, JsonSchema>> {
  const store = {
    id: { ...TEXT, description: 'What the store is called in calls' },
    description: TEXT,
    default: { ...TEXT, const: 'true' },
    'read-only': { ...TEXT, const: 'true' },
  };
  const use = closed({ usage: COUNT, limit: { type: 'integer', description: '-1: none' } });
  return {
    version: closed({
      id: { ...TEXT, description: 'v2.17' },
      status: { ...TEXT, enum: ['CURRENT', 'SUPPORTED'] },
      links: { type: 'array', items: closed({ rel: TEXT, href: TEXT }) },
    }),
    versions: closed({ versions: { type: 'array', items: ref('version') } }),
    health: closed({
      ready: FLAG,
      disabled: { ...FLAG, description: 'An operator took the service out of use' },
      checks: { type: 'array', items: closed({ name: TEXT, ok: FLAG, fault: TEXT }, 'fault') },
    }),
    import_methods: closed({
      'import-methods': closed({
        description: TEXT,
        type: TEXT,
        value: { type: 'array', items: { ...TEXT, enum: importMethods } },
      }),
    }),
    store: closed(store, 'description', 'default', 'read-only'),
    stores: closed({ stores: { type: 'array', items: ref('store') } }),
    store_detail: closed(
      { ...store, type: TEXT, weight: { type: 'number' }, properties: ANY_OBJECT },
      'description',
      'default',
      'read-only',
    ),
    stores_detail: closed({ stores: { type: 'array', items: ref('store_detail') } }),
    usage: closed({ usage: { type: 'object', additionalProperties: use } }),
    progress: closed({
      stage: TEXT,
      phase: TEXT,
      doneBytes: COUNT,
      totalBytes: COUNT_OR_NULL,
      percent: { type: ['number', 'null'] },
      bytesPerSecond: { type: ['number', 'null'] },
      etaSeconds: { type: ['number', 'null'] },
    }),
    inspection: closed({
      place: { ...TEXT, enum: ['staged', 'stored'], description: 'Where the data was found' },
      verdict: ref('verdict'),
    }),
    verdict: VERDICT,
    location: closed({
      url: { ...TEXT, description: 'An address that a store understands' },
      metadata: { ...ANY_OBJECT, description: 'What was noted of it, and in store the store that it is in' },
    }),
    added_location: closed(
      { url: TEXT, metadata: ANY_OBJECT, validation_data: closed({ os_hash_algo: TEXT, os_hash_value: TEXT }) },
      'validation_data',
    ),
    'metadefs.resource_type_names': closed({
      resource_types: {
        type: 'array',
        items: closed({ name: TEXT, created_at: TEXT, updated_at: TEXT }),
      },
    }),
    schema: { ...ANY_OBJECT, description: 'A JSON schema' },
  };
}

const VERDICT: JsonSchema = {
  type: 'object',
  properties: {
    verdict: { ...TEXT, enum: ['safe', 'warning', 'unsafe'] },
    format: { ...TEXT, description: 'What the signature says that it is' },
    subformat: TEXT,
    declared: { ...TEXT, description: 'What the image is registered as' },
    candidates: { type: 'array', items: TEXT },
    virtualSize: { ...COUNT, description: 'Bytes of the disk that a guest sees' },
    fileSize: COUNT,
    findings: {
      type: 'array',
      items: {
        type: 'object',
        properties: { code: TEXT, severity: TEXT, message: TEXT },
        required: ['code', 'severity', 'message'],
      },
    },
  },
  required: ['verdict', 'format', 'candidates', 'fileSize', 'findings'],
};

/** What callers send beside the documents that they get. */
function requestSchemas({ importMethods }: ApiSettings): Readonly<Record<string, JsonSchema>> {
  return {
    new_import: importSchema(importMethods),
    patch: {
      type: 'array',
      items: closed({ op: { ...TEXT, enum: ['add', 'replace', 'remove'] }, path: TEXT, value: {} }, 'value'),
    },
    new_member: closed({ member: { ...TEXT, maxLength: 255, description: 'The id of the project' } }),
    member_answer: closed({ status: { ...TEXT, enum: ['accepted', 'rejected', 'pending'] } }),
    new_task: closed({ type: { ...TEXT, const: 'import' }, input: ref('task_input') }),
    task_input: {
      type: 'object',
      properties: {
        import_from: { ...TEXT, description: 'A web address' },
        import_from_format: { ...TEXT, description: 'The disk format of what is there' },
        image_properties: { ...ANY_OBJECT, description: 'What the new image is to have' },
      },
      required: ['import_from', 'import_from_format', 'image_properties'],
    },
    conversion: closed(
      {
        format: { ...TEXT, description: 'The disk format that the image is to have' },
        options: {
          type: 'object',
          additionalProperties: { type: ['string', 'number', 'boolean'] },
          description: 'Options of that format, as those of -o on the command line',
        },
        container_format: TEXT,
        force: { ...FLAG, description: 'Write it anew though it has that format already' },
      },
      'options',
      'container_format',
      'force',
    ),
    new_location: {
      type: 'object',
      properties: {
        url: TEXT,
        metadata: ANY_OBJECT,
        validation_data: {
          type: 'object',
          properties: { os_hash_algo: { ...TEXT, const: 'sha512' }, os_hash_value: TEXT, checksum: TEXT },
        },
      },
      required: ['url'],
    },
    'metadefs.new_tags': closed({
      tags: { type: 'array', items: closed({ name: { ...TEXT, minLength: 1, maxLength: 80 } }) },
    }),
  };
}

function importSchema(importMethods: readonly string[]): JsonSchema {
  return {
    type: 'object',
    properties: {
      method: {
        type: 'object',
        properties: {
          name: { ...TEXT, enum: importMethods },
          uri: { ...TEXT, description: 'For web-download' },
          glance_region: { ...TEXT, description: 'For glance-download' },
          glance_image_id: { ...TEXT, description: 'For glance-download' },
          glance_service_interface: { ...TEXT, description: 'For glance-download' },
        },
        required: ['name'],
      },
      stores: { type: 'array', items: TEXT, minItems: 1 },
      all_stores: FLAG,
      all_stores_must_succeed: { ...FLAG, default: true },
    },
    required: ['method'],
  };
}
