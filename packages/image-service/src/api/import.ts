import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { TaskDocument, TaskJson } from '../catalog/task.ts';
import type { ApiParts, Asker } from './api-parts.ts';
import { badRequest } from './http-error.ts';
import { imageFor } from './image-access.ts';
import type { ImportCall, ImportSource } from './import-call.ts';
import { isObject, objectBody } from './json-body.ts';

/** `POST /v2/images/{id}/import`. */
export function importRoute(app: FastifyInstance, parts: ApiParts): void {
  app.post(
    '/v2/images/:imageId/import',
    { config: { summary: 'Import data into an image' } },
    async (request, reply) => {
      const body = objectBody(request.body);
      const source = sourceOf(parts, body, request);
      const image = await imageFor(parts, source.method === 'copy-image' ? 'copy_image' : 'modify_image', request);
      const task = await parts.imports.submit({
        image,
        source,
        ...storesOf(parts, body, request),
        allStoresMustSucceed: flag(body, 'all_stores_must_succeed', true),
        asker: askerOf(request),
        taskInput: { image_id: image.id, import_req: jsonOf(body) },
      });
      // Without a task there was nothing to do.
      if (task !== undefined) reply.header('location', `/v2/tasks/${task.id}`);
      return reply.code(202).send();
    },
  );
}

type Body = Readonly<Record<string, unknown>>;

function sourceOf({ settings }: ApiParts, { method }: Body, request: FastifyRequest): ImportSource {
  if (!isObject(method) || typeof method['name'] !== 'string') throw badRequest("'method' must name the way to import");
  const { name } = method;
  if (settings.importMethods.includes(name)) {
    if (name === 'glance-direct' || name === 'copy-image') return { method: name };
    if (name === 'web-download') return { method: name, uri: textOf(method, 'uri', name) };
    if (name === 'glance-download') return remoteSource(method, request);
  }
  throw badRequest(`Unknown import method name '${name}'.`);
}

const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const INTERFACES = ['public', 'internal', 'admin'] as const;

function remoteSource(method: Body, { headers }: FastifyRequest): ImportSource {
  const name = 'glance-download';
  const imageId = textOf(method, 'glance_image_id', name);
  if (!UUID.test(imageId)) throw badRequest(`Remote image id does not look like a UUID: ${imageId.slice(0, 100)}`);
  // Some clients leave the interface out, some send null.
  const given = method['glance_service_interface'] ?? 'public';
  const known = INTERFACES.find((each) => each === given);
  if (known === undefined) throw badRequest(`'glance_service_interface' must be one of ${INTERFACES.join(', ')}`);
  const token = headers['x-auth-token'];
  return {
    method: name,
    remote: {
      imageId,
      region: textOf(method, 'glance_region', name),
      interface: known,
      token: typeof token === 'string' ? token : undefined,
    },
  };
}

function textOf(method: Body, field: string, name: string): string {
  const value = method[field];
  if (typeof value === 'string' && value !== '') return value;
  throw badRequest(`'${field}' needs to be set for ${name} import method`);
}

/** The stores that are asked for: a list, all of them, or the one of an older header; the default store when none is. */
function storesOf(
  { settings, stores }: ApiParts,
  body: Body,
  request: FastifyRequest,
): Pick<ImportCall, 'stores' | 'allStores'> {
  const { stores: listed } = body;
  const header = request.headers['x-image-meta-store'];
  if (flag(body, 'all_stores', false)) {
    if (listed !== undefined) throw badRequest('stores cannot be given together with all_stores');
    const all = settings.stores.filter(({ id }) => stores.get(id)?.readOnly === false).map(({ id }) => id);
    return { stores: all, allStores: true };
  }
  if (listed === undefined) return { stores: typeof header === 'string' ? [header] : [], allStores: false };
  if (!Array.isArray(listed) || listed.length === 0 || listed.some((store) => typeof store !== 'string')) {
    throw badRequest('stores must be a list of ids of stores');
  }
  const unknown = listed.map(String).find((id) => stores.get(id)?.readOnly !== false);
  if (unknown !== undefined) throw badRequest(`There is no store '${unknown}' that can be filled`);
  return { stores: listed.map(String), allStores: false };
}

function flag(body: Body, name: string, fallback: boolean): boolean {
  const value = body[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'boolean') throw badRequest(`${name} must be true or false`);
  return value;
}

/** Who asks, for the task. */
export function askerOf({ caller, id }: FastifyRequest): Asker {
  return { owner: caller.projectId, userId: caller.userId, requestId: id, roles: caller.roles };
}

/** A parsed body is JSON by its making. */
export function jsonOf(body: Body): TaskDocument {
  return body as { readonly [key: string]: TaskJson };
}
