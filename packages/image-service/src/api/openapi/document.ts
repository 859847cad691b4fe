import { STATUS_CODES } from 'node:http';
import type { ApiSettings } from '../api-parts.ts';
import type { JsonSchema } from '../image-schema.ts';
import type { ServedRoute } from '../route-table.ts';
import { componentSchemas } from './components.ts';
import type { Answer, Operation, Operations, Parameter } from './operation.ts';
import { json, ref, TAGS } from './operation.ts';
import { CACHE_OPERATIONS } from './operations/cache.ts';
import { IMAGE_DATA_OPERATIONS } from './operations/image-data.ts';
import { IMAGE_OPERATIONS } from './operations/images.ts';
import { METADEF_OPERATIONS } from './operations/metadefs.ts';
import { SERVICE_OPERATIONS } from './operations/service.ts';

const OPERATIONS: Operations = {
  ...IMAGE_OPERATIONS,
  ...IMAGE_DATA_OPERATIONS,
  ...CACHE_OPERATIONS,
  ...METADEF_OPERATIONS,
  ...SERVICE_OPERATIONS,
};

/** One operation of the document. */
export interface DescribedOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly DescribedParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, DescribedResponse>>;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
}

/** One parameter of an operation. */
export interface DescribedParameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description: string;
  readonly schema: JsonSchema;
}

/** Media types and what they hold. */
export type Content = Readonly<Record<string, { readonly schema?: JsonSchema }>>;

/** What may come back, or where among the components that is said. */
export type DescribedResponse =
  | { readonly $ref: string }
  | {
      readonly description: string;
      readonly content?: Content;
      readonly headers?: Readonly<Record<string, unknown>>;
    };

/** An OpenAPI document, version 3.1. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

/** The description of everything in the table. openapis.org, "OpenAPI Specification", version 3.1. */
export function openApiDocument(table: readonly ServedRoute[], settings: ApiSettings): OpenApiDocument {
  const paths: Record<string, Record<string, DescribedOperation>> = {};
  for (const route of table) {
    const path = pathOf(route);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describedOperation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'diskmorph: Images API v2',
      version: settings.version,
      description:
        'The Images API of OpenStack, version 2, with imports and conversions that end, say why, and survive.',
      license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: settings.publicEndpoint ?? '/' }],
    tags: TAGS.map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: componentSchemas(settings),
      responses: errorResponses(),
      headers: REQUEST_ID_HEADER,
      securitySchemes: {
        token: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Auth-Token',
          description: 'A token of Keystone or of the token file; no service without authentication asks for one',
        },
      },
    },
  } as OpenApiDocument;
}

/** `/v2/images/:imageId` becomes `/v2/images/{imageId}`. */
function pathOf({ url }: ServedRoute): string {
  return url.replaceAll(/:(\w+)/g, '{$1}');
}

/** What there is to say of a route; nothing but its summary where nobody said more. */
function operationOf(route: ServedRoute): Operation {
  const path = pathOf(route);
  const schema = /^\/v2\/schemas\/(.+)$/.exec(path)?.[1];
  if (schema !== undefined) return { tag: 'Schemas', answers: { 200: json('The schema', ref('schema')) } };
  return OPERATIONS[`${route.method} ${path}`] ?? { tag: 'Service', answers: {} };
}

function describedOperation(route: ServedRoute): DescribedOperation {
  const { tag, says, query = [], headers = [], body, answers, errors = [] } = operationOf(route);
  const parameters = [
    ...[...route.url.matchAll(/:(\w+)/g)].map(([, name = '']) =>
      parameter('path', { name, says: PATH_PARTS[name] ?? name }),
    ),
    ...query.map((each) => parameter('query', each)),
    ...headers.map((each) => parameter('header', each)),
  ];
  const statuses = [...new Set([...impliedErrors(route), ...errors])].sort((a, b) => a - b);
  return {
    operationId: operationId(route),
    summary: route.summary,
    ...(says === undefined ? {} : { description: says }),
    tags: [tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.optional !== true, content: contentOf(body.types, body.schema) } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, response(answer)])),
      ...Object.fromEntries(statuses.map((status) => [status, { $ref: `#/components/responses/${status}` }])),
      ...(Object.keys(answers).length === 0 ? { default: { description: 'The answer' } } : {}),
    },
    security: route.open ? [] : [{ token: [] }],
  };
}

/** Errors that go without saying, and of which routes. */
const IMPLIED_ERRORS: readonly (readonly [status: number, of: (route: ServedRoute) => boolean])[] = [
  [400, ({ method }) => takesBody(method)],
  [401, ({ open }) => !open],
  [413, ({ method }) => takesBody(method)],
  [414, ({ url }) => url.includes(':')],
  [415, ({ method }) => takesBody(method)],
  [431, () => true],
];

function takesBody(method: string): boolean {
  return !['GET', 'HEAD'].includes(method);
}

function impliedErrors(route: ServedRoute): readonly number[] {
  return IMPLIED_ERRORS.filter(([, of]) => of(route)).map(([status]) => status);
}

const PATH_PARTS: Readonly<Record<string, string>> = {
  imageId: 'The id of the image',
  memberId: 'The id of the project',
  tag: 'The tag',
  taskId: 'The id of the task',
  storeId: 'The id of the store',
  namespace: 'The name of the namespace',
  objectName: 'The name of the object',
  propertyName: 'The name of the property',
  tagName: 'The name of the tag',
  resourceType: 'The name of the resource type',
};

function parameter(where: DescribedParameter['in'], { name, says, schema }: Parameter): DescribedParameter {
  return { name, in: where, required: where === 'path', description: says, schema: schema ?? { type: 'string' } };
}

/** `GET /v2/images/:imageId` becomes `getV2ImagesImageId`; a slash at the end makes another one. */
function operationId({ method, url }: ServedRoute): string {
  const words = url.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const name = words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join('');
  return `${method.toLowerCase()}${name}${url.endsWith('/') ? 'Slash' : ''}`;
}

function response({ says, schema, types, headers = {} }: Answer): DescribedResponse {
  const named = Object.entries(headers).map(([name, description]) => [name, textHeader(description)]);
  const content = {
    ...(schema === undefined ? {} : contentOf(['application/json'], schema)),
    ...contentOf(types ?? [], {}),
  };
  return {
    description: says,
    headers: { ...Object.fromEntries(named), ...REQUEST_ID },
    ...(Object.keys(content).length === 0 ? {} : { content }),
  };
}

function textHeader(description: string): unknown {
  return { description, schema: { type: 'string' } };
}

function contentOf(types: readonly string[], schema: JsonSchema): Content {
  const held = Object.keys(schema).length === 0 ? {} : { schema };
  return Object.fromEntries(types.map((type) => [type, held]));
}

const REQUEST_ID = { 'x-openstack-request-id': { $ref: '#/components/headers/x-openstack-request-id' } };
const REQUEST_ID_HEADER = {
  'x-openstack-request-id': textHeader('The id of the call, as it stands in the log and in the tasks that it began'),
};

/** Every error that any operation names. */
function errorResponses(): Readonly<Record<string, DescribedResponse>> {
  const statuses = new Set([
    ...IMPLIED_ERRORS.map(([status]) => status),
    ...Object.values(OPERATIONS).flatMap(({ errors = [] }) => errors),
  ]);
  const content = { ...contentOf(['application/json'], ref('error')), 'text/html': {} };
  return Object.fromEntries(
    [...statuses].map((status) => [status, { description: errorMeaning(status), headers: REQUEST_ID, content }]),
  );
}

/** What an error of that status means here. */
export function errorMeaning(status: number): string {
  return ERROR_MEANINGS[status] ?? STATUS_CODES[status] ?? 'Error';
}

/** What the statuses mean here. JSON where Accept asks for it by name, else HTML. */
const ERROR_MEANINGS: Readonly<Record<number, string>> = {
  400: 'What was sent is wrong; the message says what',
  401: 'Nobody is known by the token, or there is none',
  403: 'The caller may not do that',
  404: 'It is not there, or not for this caller',
  408: 'The sender stalled',
  409: 'The state of the thing, or another thing, is in the way',
  410: 'The image was deleted in between',
  413: 'Too large, or too many',
  414: 'A part of the address is too long',
  415: 'Not of a media type that is understood here',
  416: 'The range lies outside of the data',
  431: 'Address and headers are too long together',
  503: 'It cannot be done now',
};
