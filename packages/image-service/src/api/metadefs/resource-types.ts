import type { FastifyInstance } from 'fastify';
import type { ApiParts } from '../api-parts.ts';
import { demand, paramOf } from '../image-access.ts';
import { schemaCheck } from '../schema-check.ts';
import { associationDocument, associationOf, NAMESPACES_PATH, resourceTypeDocument } from './documents.ts';
import { checkedBody, namespaceFor, refuseProtected } from './namespace-access.ts';
import { ASSOCIATION_SCHEMA } from './schemas.ts';

const ALL = `${NAMESPACES_PATH}/:namespace/resource_types`;
const READ_ONLY = ['created_at', 'updated_at'];

/** `/v2/metadefs/resource_types`, and which of them a namespace is for. */
export function resourceTypeRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(ASSOCIATION_SCHEMA);
  app.get('/v2/metadefs/resource_types', { config: { summary: 'List resource types' } }, async ({ caller }) => {
    demand(parts, 'list_metadef_resource_types', caller, { project_id: caller.projectId });
    return { resource_types: (await metadefs.resourceTypes()).map(resourceTypeDocument) };
  });
  app.get(ALL, { config: { summary: 'List the resource types that a namespace is for' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_resource_type');
    const associations = (await metadefs.associations([namespace])).get(namespace.id) ?? [];
    return { resource_type_associations: associations.map(associationDocument) };
  });
  app.post(ALL, { config: { summary: 'Say that a namespace is for a resource type' } }, async (request, reply) => {
    const body = checkedBody(request, check, READ_ONLY);
    const namespace = await namespaceFor(parts, request, 'add_metadef_resource_type_association');
    return reply.code(201).send(associationDocument(await metadefs.associate(namespace, associationOf(body))));
  });
  const summary = 'Say that a namespace is no longer for a resource type';
  app.delete(`${ALL}/:resourceType`, { config: { summary } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'remove_metadef_resource_type_association');
    const resourceType = paramOf(request.params, 'resourceType');
    refuseProtected(namespace, `resource-type-association ${resourceType}`);
    await metadefs.dissociate(namespace, resourceType);
    return reply.code(204).send();
  });
}
