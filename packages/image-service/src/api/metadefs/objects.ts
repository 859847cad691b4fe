import type { FastifyInstance } from 'fastify';
import type { ApiParts } from '../api-parts.ts';
import { paramOf } from '../image-access.ts';
import type { UrlQuery } from '../page.ts';
import { schemaCheck } from '../schema-check.ts';
import { NAMESPACES_PATH, objectDocument, objectOf } from './documents.ts';
import { entryQuery } from './list-queries.ts';
import { checkedBody, namespaceFor, refuseProtected } from './namespace-access.ts';
import { OBJECT_SCHEMA } from './schemas.ts';

const ALL = `${NAMESPACES_PATH}/:namespace/objects`;
const ONE = `${ALL}/:objectName`;
const READ_ONLY = ['self', 'schema', 'created_at', 'updated_at'];

/** `/v2/metadefs/namespaces/{namespace}/objects`: groups of properties. */
export function objectRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(OBJECT_SCHEMA);
  const kind = 'object';
  app.get(ALL, { config: { summary: 'List the objects of a namespace' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_objects');
    const key = { namespace, kind } as const;
    const objects = await metadefs.entries(key, await entryQuery(metadefs, key, request.query as UrlQuery));
    return {
      objects: objects.map((object) => objectDocument(namespace.namespace, object)),
      schema: '/v2/schemas/metadefs/objects',
    };
  });
  app.post(ALL, { config: { summary: 'Add an object' } }, async (request, reply) => {
    const body = checkedBody(request, check, READ_ONLY);
    const namespace = await namespaceFor(parts, request, 'add_metadef_object');
    const [object] = await metadefs.insertEntries({ namespace, kind }, [objectOf(body)]);
    return reply.code(201).send(object === undefined ? undefined : objectDocument(namespace.namespace, object));
  });
  app.delete(ALL, { config: { summary: 'Delete all objects of a namespace' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_namespace');
    refuseProtected(namespace, `namespace ${namespace.namespace}`);
    await metadefs.removeEntries({ namespace, kind });
    return reply.code(204).send();
  });
  app.get(ONE, { config: { summary: 'Show an object' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_object');
    const object = await metadefs.entry({ namespace, kind }, paramOf(request.params, 'objectName'));
    return objectDocument(namespace.namespace, object);
  });
  app.put(ONE, { config: { summary: 'Change an object' } }, async (request) => {
    const body = checkedBody(request, check, READ_ONLY);
    const namespace = await namespaceFor(parts, request, 'modify_metadef_object');
    const name = paramOf(request.params, 'objectName');
    return objectDocument(namespace.namespace, await metadefs.changeEntry({ namespace, kind }, name, objectOf(body)));
  });
  app.delete(ONE, { config: { summary: 'Delete an object' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_object');
    const name = paramOf(request.params, 'objectName');
    refuseProtected(namespace, `object ${name}`);
    await metadefs.removeEntry({ namespace, kind }, name);
    return reply.code(204).send();
  });
}
