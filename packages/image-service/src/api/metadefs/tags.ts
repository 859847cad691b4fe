import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiParts } from '../api-parts.ts';
import { paramOf } from '../image-access.ts';
import type { UrlQuery } from '../page.ts';
import { schemaCheck } from '../schema-check.ts';
import { NAMESPACES_PATH, tagDocument, tagOf } from './documents.ts';
import { entryQuery } from './list-queries.ts';
import { checkedBody, namespaceFor, refuseProtected } from './namespace-access.ts';
import { NEW_TAGS_SCHEMA, TAG_SCHEMA } from './schemas.ts';

const ALL = `${NAMESPACES_PATH}/:namespace/tags`;
const ONE = `${ALL}/:tagName`;
const READ_ONLY = ['created_at', 'updated_at'];

/** `/v2/metadefs/namespaces/{namespace}/tags`. */
export function metadefTagRoutes(app: FastifyInstance, parts: ApiParts): void {
  manyTags(app, parts);
  oneTag(app, parts);
}

function manyTags(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(NEW_TAGS_SCHEMA);
  app.get(ALL, { config: { summary: 'List the tags of a namespace' } }, async (request) => {
    const key = { namespace: await namespaceFor(parts, request, 'get_metadef_tags'), kind: 'tag' } as const;
    const tags = await metadefs.entries(key, await entryQuery(metadefs, key, request.query as UrlQuery));
    return { tags: tags.map(({ name }) => ({ name })) };
  });
  const summary = 'Put these tags in the place of all tags, or beside them';
  app.post(ALL, { config: { summary } }, async (request, reply) => {
    const { tags } = checkedBody(request, check, READ_ONLY);
    const key = { namespace: await namespaceFor(parts, request, 'add_metadef_tags'), kind: 'tag' } as const;
    const entries = Array.isArray(tags) ? tags.map(tagOf) : [];
    // As in Glance, no tags are no change: there is a call that deletes all.
    if (entries.length > 0) {
      await (appends(request) ? metadefs.insertEntries(key, entries) : metadefs.replaceEntries(key, entries));
    }
    return reply.code(201).send({ tags: entries.map(({ name }) => ({ name })) });
  });
  app.delete(ALL, { config: { summary: 'Delete all tags of a namespace' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_namespace', 'delete_metadef_tags');
    refuseProtected(namespace, `namespace ${namespace.namespace}`);
    await metadefs.removeEntries({ namespace, kind: 'tag' });
    return reply.code(204).send();
  });
}

const TRUE_WORDS: ReadonlySet<string> = new Set(['true', 't', '1', 'yes', 'y', 'on']);

/** Whether the tags are to stand beside those that there are. */
function appends({ headers }: FastifyRequest): boolean {
  return TRUE_WORDS.has(String(headers['x-openstack-append'] ?? '').toLowerCase());
}

function oneTag(app: FastifyInstance, parts: ApiParts): void {
  const { metadefs } = parts.catalog;
  const check = schemaCheck(TAG_SCHEMA);
  const kind = 'tag';
  app.get(ONE, { config: { summary: 'Show a tag of a namespace' } }, async (request) => {
    const namespace = await namespaceFor(parts, request, 'get_metadef_tag');
    return tagDocument(await metadefs.entry({ namespace, kind }, paramOf(request.params, 'tagName')));
  });
  app.post(ONE, { config: { summary: 'Add a tag to a namespace' } }, async (request, reply) => {
    const named = { name: paramOf(request.params, 'tagName') };
    check(named);
    const namespace = await namespaceFor(parts, request, 'add_metadef_tag');
    const [tag] = await metadefs.insertEntries({ namespace, kind }, [tagOf(named)]);
    return reply.code(201).send(tag === undefined ? undefined : tagDocument(tag));
  });
  app.put(ONE, { config: { summary: 'Rename a tag of a namespace' } }, async (request) => {
    const body = checkedBody(request, check, READ_ONLY);
    const namespace = await namespaceFor(parts, request, 'modify_metadef_tag');
    const name = paramOf(request.params, 'tagName');
    return tagDocument(await metadefs.changeEntry({ namespace, kind }, name, tagOf(body)));
  });
  app.delete(ONE, { config: { summary: 'Delete a tag of a namespace' } }, async (request, reply) => {
    const namespace = await namespaceFor(parts, request, 'delete_metadef_tag');
    const name = paramOf(request.params, 'tagName');
    refuseProtected(namespace, `tag ${name}`);
    await metadefs.removeEntry({ namespace, kind }, name);
    return reply.code(204).send();
  });
}
