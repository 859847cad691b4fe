import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { NamespaceDefinition, NamespaceRecord } from '../../catalog/metadefs/definition.ts';
import type { ApiParts } from '../api-parts.ts';
import { HttpError } from '../http-error.ts';
import { demand } from '../image-access.ts';
import { baseUrl } from '../images.ts';
import type { UrlQuery } from '../page.ts';
import { pageLimit, pageLinks, singleValue } from '../page.ts';
import { schemaCheck } from '../schema-check.ts';
import type { NamespaceContent } from './documents.ts';
import { namespaceDocument, namespaceFieldsOf, namespaceOf, namespacePath, NAMESPACES_PATH } from './documents.ts';
import { namespaceQuery } from './list-queries.ts';
import { checkedBody, namespaceFor, namespaceTarget, refuseProtected } from './namespace-access.ts';
import { prefixedFor } from './prefixed.ts';
import { NAMESPACE_SCHEMA } from './schemas.ts';

const ONE = `${NAMESPACES_PATH}/:namespace`;
const READ_ONLY = ['self', 'schema', 'created_at', 'updated_at'];

/** `/v2/metadefs/namespaces`: what other services understand of images, volumes, flavors and the like. */
export function namespaceRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(NAMESPACE_SCHEMA);
  app.get(NAMESPACES_PATH, { config: { summary: 'List namespaces' } }, (request) => listNamespaces(parts, request));
  app.post(NAMESPACES_PATH, { config: { summary: 'Add a namespace with all that is in it' } }, (request, reply) =>
    addNamespace(parts, checkedBody(request, check, READ_ONLY), { request, reply }),
  );
  app.get(ONE, { config: { summary: 'Show a namespace with all that is in it' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, ...SHOW_RULES);
    const resourceType = singleValue(request.query as UrlQuery, 'resource_type');
    return namespaceDocument(namespace, prefixedFor(resourceType, await contentOf(parts, namespace)));
  });
  app.put(ONE, { config: { summary: 'Change a namespace; what is in it stays' } }, async (request) => {
    const body = checkedBody(request, check, READ_ONLY);
    const namespace = await namespaceFor(parts, request, 'modify_metadef_namespace');
    const fields = namespaceFieldsOf(body, namespace.owner);
    if (fields.owner !== namespace.owner) refuseForeignOwner(request, fields.owner);
    return namespaceDocument(await metadefs.changeNamespace(namespace, fields));
  });
  app.delete(ONE, { config: { summary: 'Delete a namespace with all that is in it' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_namespace');
    refuseProtected(namespace, `namespace ${namespace.namespace}`);
    await metadefs.removeNamespace(namespace);
    return reply.code(204).send();
  });
}

/** What it takes to see a namespace with all that is in it. */
const SHOW_RULES = [
  'get_metadef_namespace',
  'list_metadef_resource_types',
  'get_metadef_objects',
  'get_metadef_properties',
  'get_metadef_tags',
];

async function listNamespaces(parts: ApiParts, { caller, query: given, url }: FastifyRequest): Promise<unknown> {
  const { metadefs } = parts.catalog;
  demand(parts, 'get_metadef_namespaces', caller, { project_id: caller.projectId });
  demand(parts, 'list_metadef_resource_types', caller, { project_id: caller.projectId });
  const query = given as UrlQuery;
  const limit = pageLimit(query, parts.settings.pageSize);
  const marker = singleValue(query, 'marker');
  const after =
    marker === undefined
      ? undefined
      : await namespaceFor(parts, { caller, params: { namespace: marker } }, 'get_metadef_namespace');
  const namespaces = await metadefs.namespaces({
    ...namespaceQuery(query),
    ...(caller.isAdmin ? {} : { viewer: { projectId: caller.projectId } }),
    ...(after === undefined ? {} : { after }),
    limit,
  });
  const seen = namespaces.filter((each) => parts.policy.allows('get_metadef_namespace', caller, namespaceTarget(each)));
  const associations = await metadefs.associations(seen);
  return {
    namespaces: seen.map((each) => namespaceDocument(each, { associations: associations.get(each.id) ?? [] })),
    ...pageLinks(url, limit > 0 && namespaces.length === limit ? namespaces.at(-1)?.namespace : undefined),
    schema: '/v2/schemas/metadefs/namespaces',
  };
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function addNamespace(
  parts: ApiParts,
  body: Readonly<Record<string, unknown>>,
  { request, reply }: Exchange,
): Promise<FastifyReply> {
  const { caller } = request;
  const definition = namespaceOf(body, caller.projectId);
  for (const rule of rulesToAdd(definition)) demand(parts, rule, caller, { project_id: caller.projectId });
  refuseForeignOwner(request, definition.owner);
  const namespace = await parts.catalog.metadefs.insertNamespace(definition);
  return reply
    .code(201)
    .header('location', `${baseUrl(parts, request)}${namespacePath(namespace.namespace)}`)
    .send(namespaceDocument(namespace, await contentOf(parts, namespace)));
}

/** What it takes to add a namespace with that in it. */
function rulesToAdd({ associations, entries }: NamespaceDefinition): readonly string[] {
  return [
    'add_metadef_namespace',
    ...(associations.length === 0 ? [] : ['add_metadef_resource_type_association']),
    ...(entries.object.length === 0 ? [] : ['add_metadef_object']),
    ...(entries.property.length === 0 ? [] : ['add_metadef_property']),
    ...(entries.tag.length === 0 ? [] : ['add_metadef_tag']),
  ];
}

/** A policy may let others than administrators write; what they write stays theirs. */
function refuseForeignOwner({ caller }: FastifyRequest, owner: string | null): void {
  if (caller.isAdmin || owner === caller.projectId) return;
  throw new HttpError(403, `You are not permitted to give a namespace to '${String(owner)}'.`);
}

async function contentOf({ catalog }: ApiParts, namespace: NamespaceRecord): Promise<NamespaceContent> {
  const { metadefs } = catalog;
  const oldestFirst = { sort: { field: 'createdAt', direction: 'asc' } } as const;
  const [associations, objects, properties, tags] = await Promise.all([
    metadefs.associations([namespace]),
    metadefs.entries({ namespace, kind: 'object' }, oldestFirst),
    metadefs.entries({ namespace, kind: 'property' }, oldestFirst),
    metadefs.entries({ namespace, kind: 'tag' }, oldestFirst),
  ]);
  return { associations: associations.get(namespace.id) ?? [], objects, properties, tags };
}
