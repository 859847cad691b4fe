import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ImageRecord } from '../catalog/image.ts';
import type { ApiParts } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { demand, noImage, paramOf, policyTarget, visibleImage } from './image-access.ts';

/** A copy as callers are told of it. Times in milliseconds since 1970. */
export interface CacheEntry {
  readonly imageId: string;
  readonly sizeBytes: number;
  readonly hits: number;
  readonly lastAccessed: number | null;
  readonly lastModified: number;
}

/** The cache of this process, for administrators. */
export interface CacheRoads {
  list(): Promise<{ readonly cached: readonly CacheEntry[]; readonly queued: readonly string[] }>;
  enqueue(imageId: string): Promise<void>;
  /** Removes the image from the cache and its queue; false when it was in neither. */
  forget(imageId: string): Promise<boolean>;
  /** Empties both or one of them, and says how many were in it. */
  clear(what: 'cache' | 'queue'): Promise<number>;
  clean(): Promise<void>;
  prune(): Promise<{ readonly files: number; readonly bytes: number }>;
}

/** `/v2/cache` and, as it was called before, `/v2/cached_images` and `/v2/queued_images`. */
export function cacheRoutes(app: FastifyInstance, parts: ApiParts): void {
  const one = '/v2/cache/:imageId';
  app.get('/v2/cache', { config: { summary: 'List the image cache and its queue' } }, async (request) => {
    demand(parts, 'cache_list', request.caller, {});
    const { cached, queued } = await cacheOf(parts).list();
    return { cached_images: cached.map(entryDocument), queued_images: queued };
  });
  app.delete(
    '/v2/cache',
    { config: { summary: 'Empty the image cache, its queue, or both' } },
    async (request, reply) => {
      demand(parts, 'cache_delete', request.caller, {});
      const cache = cacheOf(parts);
      for (const what of clearTargets(request)) await cache.clear(what);
      return reply.code(204).send();
    },
  );
  app.put(one, { config: { summary: 'Bring an image into the cache' } }, async (request, reply) => {
    await enqueue(parts, request, 'cache_image');
    return reply.code(202).send();
  });
  app.delete(one, { config: { summary: 'Remove an image from the cache' } }, async (request, reply) => {
    await forget(parts, request, 'cache_delete');
    return reply.code(204).send();
  });
  app.post('/v2/cache/clean', { config: { summary: 'Remove what is of no use from the cache' } }, async (request) => {
    demand(parts, 'cache_clean', request.caller, {});
    await cacheOf(parts).clean();
    return {};
  });
  app.post('/v2/cache/prune', { config: { summary: 'Bring the cache down to its size' } }, async (request) => {
    demand(parts, 'cache_prune', request.caller, {});
    const { files, bytes } = await cacheOf(parts).prune();
    return { total_files_pruned: files, total_bytes_pruned: bytes };
  });
  app.get(
    '/v2/cache/nodes/:imageId',
    { config: { summary: 'List the nodes that have an image in their cache' } },
    async (request) => {
      const image = await visibleImage(parts, request.caller, paramOf(request.params, 'imageId'));
      demand(parts, 'list_cached_nodes', request.caller, policyTarget(image));
      cacheOf(parts);
      if (!parts.settings.tellsCachedNodes) throw new HttpError(409, 'Every node knows its own cache alone.');
      return parts.catalog.cachedImages.nodesOf(image.id);
    },
  );
  formerRoutes(app, parts);
}

/** As the endpoints were called before version 2.14; all of them ask `manage_image_cache`. */
function formerRoutes(app: FastifyInstance, parts: ApiParts): void {
  const rule = 'manage_image_cache';
  for (const [url, key, what] of [
    ['/v2/cached_images', 'cached_images', 'cache'],
    ['/v2/queued_images', 'queued_images', 'queue'],
  ] as const) {
    app.get(url, { config: { summary: `List the ${what}, as before 2.14` } }, async (request) => {
      demand(parts, rule, request.caller, {});
      const { cached, queued } = await cacheOf(parts).list();
      return { [key]: what === 'cache' ? cached.map(entryDocument) : queued };
    });
    app.delete(url, { config: { summary: `Empty the ${what}, as before 2.14` } }, async (request) => {
      demand(parts, rule, request.caller, {});
      return { num_deleted: await cacheOf(parts).clear(what) };
    });
    app.delete(
      `${url}/:imageId`,
      { config: { summary: `Remove an image from the ${what}, as before 2.14` } },
      async (request, reply) => {
        await forget(parts, request, rule);
        return reply.code(200).send();
      },
    );
  }
  app.put(
    '/v2/queued_images/:imageId',
    { config: { summary: 'Bring an image into the cache, as before 2.14' } },
    async (request, reply) => {
      await enqueue(parts, request, rule);
      return reply.code(200).send();
    },
  );
}

function cacheOf({ cache }: ApiParts): CacheRoads {
  if (cache !== undefined) return cache;
  throw new HttpError(404, 'Caching via API is not supported at this site.');
}

function clearTargets({ headers }: FastifyRequest): readonly ('cache' | 'queue')[] {
  const target = String(headers['x-image-cache-clear-target'] ?? '').toLowerCase();
  if (target === '') return ['queue', 'cache'];
  if (target === 'cache' || target === 'queue') return [target];
  throw badRequest("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.");
}

async function enqueue(parts: ApiParts, request: FastifyRequest, rule: string): Promise<void> {
  const image = await visibleImage(parts, request.caller, paramOf(request.params, 'imageId'));
  demand(parts, rule, request.caller, policyTarget(image));
  const cache = cacheOf(parts);
  if (image.status !== 'active') throw badRequest('Only images with status active can be targeted for queueing');
  await cache.enqueue(image.id);
}

/** An image that was deleted elsewhere may still be in this cache: administrators remove it all the same. */
async function forget(parts: ApiParts, request: FastifyRequest, rule: string): Promise<void> {
  const id = paramOf(request.params, 'imageId');
  const image = await visibleImage(parts, request.caller, id).catch((error: unknown): ImageRecord | undefined => {
    if (error instanceof HttpError && error.status === 404 && request.caller.isAdmin) return undefined;
    throw error;
  });
  demand(parts, rule, request.caller, image === undefined ? {} : policyTarget(image));
  const found = await cacheOf(parts).forget(id);
  if (image === undefined && !found) throw noImage(id);
}

function entryDocument(entry: CacheEntry): Readonly<Record<string, string | number>> {
  return {
    image_id: entry.imageId,
    hits: entry.hits,
    last_accessed: (entry.lastAccessed ?? 0) / 1000,
    last_modified: entry.lastModified / 1000,
    size: entry.sizeBytes,
  };
}
