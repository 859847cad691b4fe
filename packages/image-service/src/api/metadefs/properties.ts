import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CatalogError } from '../../catalog/errors.ts';
import type { NamespaceRecord } from '../../catalog/metadefs/definition.ts';
import type { ApiParts } from '../api-parts.ts';
import { HttpError } from '../http-error.ts';
import { paramOf } from '../image-access.ts';
import type { UrlQuery } from '../page.ts';
import { singleValue } from '../page.ts';
import { schemaCheck } from '../schema-check.ts';
import { NAMESPACES_PATH, propertiesDocument, propertyDocument, propertyOf } from './documents.ts';
import { checkedBody, namespaceFor, refuseProtected } from './namespace-access.ts';
import { PROPERTY_SCHEMA } from './schemas.ts';

const ALL = `${NAMESPACES_PATH}/:namespace/properties`;
const ONE = `${ALL}/:propertyName`;
const READ_ONLY = ['created_at', 'updated_at'];

/** `/v2/metadefs/namespaces/{namespace}/properties`: properties outside of objects. */
export function propertyRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(PROPERTY_SCHEMA);
  const kind = 'property';
  app.get(ALL, { config: { summary: 'List the properties of a namespace' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_properties');
    const oldestFirst = { sort: { field: 'createdAt', direction: 'asc' } } as const;
    const properties = await metadefs.entries({ namespace, kind }, oldestFirst);
    return { properties: propertiesDocument(properties) };
  });
  app.post(ALL, { config: { summary: 'Add a property' } }, async (request, reply) => {
    const property = propertyOf(checkedBody(request, check, READ_ONLY));
    const namespace = await namespaceFor(parts, request, 'add_metadef_property');
    await metadefs.insertEntries({ namespace, kind }, [property]);
    return reply.code(201).send(propertyDocument(property));
  });
  app.delete(ALL, { config: { summary: 'Delete all properties of a namespace' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_namespace');
    refuseProtected(namespace, `namespace ${namespace.namespace}`);
    await metadefs.removeEntries({ namespace, kind });
    return reply.code(204).send();
  });
  app.get(ONE, { config: { summary: 'Show a property' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_property');
    const name = await bareName(parts, namespace, request);
    return propertyDocument(await metadefs.entry({ namespace, kind }, name));
  });
  app.put(ONE, { config: { summary: 'Change a property' } }, async (request) => {
    const property = propertyOf(checkedBody(request, check, READ_ONLY));
    const namespace = await namespaceFor(parts, request, 'modify_metadef_property');
    const name = paramOf(request.params, 'propertyName');
    return propertyDocument(await metadefs.changeEntry({ namespace, kind }, name, property));
  });
  app.delete(ONE, { config: { summary: 'Delete a property' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'remove_metadef_property');
    const name = paramOf(request.params, 'propertyName');
    refuseProtected(namespace, `property ${name}`);
    await metadefs.removeEntry({ namespace, kind }, name);
    return reply.code(204).send();
  });
}

/** The name of the URL, without the prefix that it has on the resource type that the caller names. Throws 403, 404. */
async function bareName(parts: ApiParts, namespace: NamespaceRecord, request: FastifyRequest): Promise<string> {
  const name = paramOf(request.params, 'propertyName');
  const resourceType = singleValue(request.query as UrlQuery, 'resource_type');
  if (resourceType === undefined) return name;
  await namespaceFor(parts, request, 'get_metadef_resource_type');
  const associations = (await parts.catalog.metadefs.associations([namespace])).get(namespace.id) ?? [];
  const association = associations.find((each) => each.name === resourceType);
  if (association === undefined) {
    throw new CatalogError(
      'not_found',
      `Namespace ${namespace.namespace} is not for the resource type ${resourceType}`,
    );
  }
  const prefix = association.prefix ?? '';
  if (name.startsWith(prefix)) return name.slice(prefix.length);
  const text = `Property ${name} does not start with the expected resource type association prefix of '${prefix}'.`;
  throw new HttpError(404, text);
}
