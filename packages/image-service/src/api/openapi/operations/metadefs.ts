import type { Operation, Operations, Parameter } from '../operation.ts';
import { EMPTY, json, jsonBody, PAGE_QUERY, ref, sortQuery } from '../operation.ts';

const tag = 'Metadata definitions';
const ROOT = '/v2/metadefs/namespaces';
const ONE = `${ROOT}/{namespace}`;
const NAMESPACE = json('The namespace with all that is in it', ref('metadefs.namespace'));
const ON_RESOURCE: Parameter = {
  name: 'resource_type',
  says: 'With the prefix that properties bear on resources of this type',
};
const VISIBILITY: Parameter = {
  name: 'visibility',
  says: 'Who may see it',
  schema: { type: 'string', enum: ['public', 'private'] },
};
const APPEND: Parameter = { name: 'X-OpenStack-Append', says: 'True: beside the tags that there are' };
const DELETE: Operation = {
  tag,
  says: 'Not while its namespace is protected.',
  answers: { 204: EMPTY },
  errors: [403, 404],
};

/** The operations on one kind of entry: `objects/{objectName}` and such. */
function entryOperations(kind: 'object' | 'property' | 'tag', plural: string): Operations {
  const all = `${ONE}/${plural}`;
  const one = `${all}/{${kind}Name}`;
  const schema = ref(`metadefs.${kind}`);
  const shown = json(`The ${kind}`, schema);
  return {
    [`GET ${all}`]: {
      tag,
      query: kind === 'property' ? [] : [...PAGE_QUERY, ...sortQuery('name', 'created_at', 'updated_at'), VISIBILITY],
      answers: { 200: json(`The ${plural}`, ref(`metadefs.${plural}`)) },
      errors: [400, 403, 404],
    },
    [`POST ${all}`]: {
      tag,
      body: jsonBody(schema),
      answers: { 201: shown },
      errors: [400, 403, 404, 409],
    },
    [`DELETE ${all}`]: DELETE,
    [`GET ${one}`]: {
      tag,
      query: kind === 'property' ? [ON_RESOURCE] : [],
      answers: { 200: shown },
      errors: [403, 404],
    },
    [`PUT ${one}`]: { tag, body: jsonBody(schema), answers: { 200: shown }, errors: [400, 403, 404, 409] },
    [`DELETE ${one}`]: DELETE,
  };
}

/** Metadata definitions. */
export const METADEF_OPERATIONS: Operations = {
  [`GET ${ROOT}`]: {
    tag,
    query: [
      ...PAGE_QUERY,
      ...sortQuery('namespace', 'display_name', 'visibility', 'protected', 'owner', 'created_at', 'updated_at'),
      VISIBILITY,
      { name: 'resource_types', says: 'Only namespaces for any of these, separated by commas' },
    ],
    answers: { 200: json('A page of namespaces with their resource types', ref('metadefs.namespaces')) },
    errors: [400, 403, 404],
  },
  [`POST ${ROOT}`]: {
    tag,
    says: 'All of it, or nothing.',
    body: jsonBody(ref('metadefs.namespace')),
    answers: { 201: { ...NAMESPACE, headers: { Location: 'Where the namespace is' } } },
    errors: [400, 403, 409],
  },
  [`GET ${ONE}`]: { tag, query: [ON_RESOURCE], answers: { 200: NAMESPACE }, errors: [403, 404] },
  [`PUT ${ONE}`]: {
    tag,
    body: jsonBody(ref('metadefs.namespace')),
    answers: { 200: json('The namespace without what is in it', ref('metadefs.namespace')) },
    errors: [400, 403, 404, 409],
  },
  [`DELETE ${ONE}`]: { ...DELETE, says: 'Not while it is protected.' },
  ...entryOperations('object', 'objects'),
  ...entryOperations('property', 'properties'),
  ...entryOperations('tag', 'tags'),
  [`POST ${ONE}/tags`]: {
    tag,
    headers: [APPEND],
    body: jsonBody(ref('metadefs.new_tags')),
    answers: { 201: json('The tags that were sent', ref('metadefs.tags')) },
    errors: [400, 403, 404, 409],
  },
  [`POST ${ONE}/tags/{tagName}`]: {
    tag,
    answers: { 201: json('The tag', ref('metadefs.tag')) },
    errors: [400, 403, 404, 409],
  },
  'GET /v2/metadefs/resource_types': {
    tag,
    answers: { 200: json('Every resource type that was ever named', ref('metadefs.resource_type_names')) },
    errors: [403],
  },
  [`GET ${ONE}/resource_types`]: {
    tag,
    answers: { 200: json('The resource types', ref('metadefs.resource_types')) },
    errors: [403, 404],
  },
  [`POST ${ONE}/resource_types`]: {
    tag,
    body: jsonBody(ref('metadefs.resource_type')),
    answers: { 201: json('The association', ref('metadefs.resource_type')) },
    errors: [400, 403, 404, 409],
  },
  [`DELETE ${ONE}/resource_types/{resourceType}`]: DELETE,
};
