import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ImageRecord } from '../catalog/image.ts';
import type { TaskDocument, TaskJson } from '../catalog/task.ts';
import type { ApiParts, Asker, ImportCall } from './api-parts.ts';
import { badRequest } from './http-error.ts';
import { imageFor } from './image-access.ts';
import { isObject, objectBody } from './json-body.ts';

/** `POST /v2/images/{id}/import`. */
export function importRoute(app: FastifyInstance, parts: ApiParts): void {
  app.post(
    '/v2/images/:imageId/import',
    { config: { summary: 'Import data into an image' } },
    async (request, reply) => {
      const image = await imageFor(parts, 'modify_image', request);
      const task = await parts.imports.submit(importCall(parts, image, request));
      return reply.code(202).header('location', `/v2/tasks/${task.id}`).send();
    },
  );
}

const METHODS = ['glance-direct', 'web-download'] as const;

function importCall(parts: ApiParts, image: ImageRecord, request: FastifyRequest): ImportCall {
  const body = objectBody(request.body);
  const { method: given } = body;
  if (!isObject(given) || typeof given['name'] !== 'string') throw badRequest("'method' must name the way to import");
  const method = METHODS.find((known) => known === given['name']);
  if (method === undefined || !parts.settings.importMethods.includes(method)) {
    throw badRequest(`Unknown import method name '${given['name']}'.`);
  }
  const { uri } = given;
  if (method === 'web-download' && typeof uri !== 'string')
    throw badRequest("'uri' is needed to import by web-download");
  return {
    image,
    method,
    uri: typeof uri === 'string' ? uri : undefined,
    stores: storesOf(parts, body, request),
    allStoresMustSucceed: flag(body, 'all_stores_must_succeed', true),
    asker: askerOf(request),
    taskInput: { image_id: image.id, import_req: jsonOf(body) },
  };
}

/** The stores that are asked for: a list, all of them, or the one of an older header; the default store when none is. */
function storesOf(
  { settings, stores }: ApiParts,
  body: Readonly<Record<string, unknown>>,
  request: FastifyRequest,
): readonly string[] {
  const { stores: listed } = body;
  const header = request.headers['x-image-meta-store'];
  if (flag(body, 'all_stores', false)) {
    if (listed !== undefined) throw badRequest('stores cannot be given together with all_stores');
    return settings.stores.filter(({ id }) => stores.get(id)?.readOnly === false).map(({ id }) => id);
  }
  if (listed === undefined) return typeof header === 'string' ? [header] : [];
  if (!Array.isArray(listed) || listed.length === 0 || listed.some((store) => typeof store !== 'string')) {
    throw badRequest('stores must be a list of ids of stores');
  }
  const unknown = listed.map(String).find((id) => stores.get(id)?.readOnly !== false);
  if (unknown !== undefined) throw badRequest(`There is no store '${unknown}' that can be filled`);
  return listed.map(String);
}

function flag(body: Readonly<Record<string, unknown>>, name: string, fallback: boolean): boolean {
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
export function jsonOf(body: Readonly<Record<string, unknown>>): TaskDocument {
  return body as { readonly [key: string]: TaskJson };
}
