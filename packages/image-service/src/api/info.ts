import type { FastifyInstance } from 'fastify';
import type { ApiParts, StoreDescription } from './api-parts.ts';
import { demand } from './image-access.ts';

/** `/v2/info/...`: what this service offers. */
export function infoRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { settings, stores } = parts;
  app.get('/v2/info/import', { config: { summary: 'The ways to import' } }, () => ({
    'import-methods': { description: 'Import methods available.', type: 'array', value: settings.importMethods },
  }));
  app.get('/v2/info/stores', { config: { summary: 'The stores' } }, () => ({
    stores: settings.stores.map((store) => described(parts, store)),
  }));
  app.get('/v2/info/stores/detail', { config: { summary: 'The stores, for administrators' } }, (request) => {
    demand(parts, 'stores_info_detail', request.caller, {});
    return {
      stores: settings.stores.map((store) =>
        Object.assign(described(parts, store), {
          type: stores.get(store.id)?.type ?? 'file',
          weight: stores.get(store.id)?.weight ?? 0,
          properties: {},
        }),
      ),
    };
  });
  app.get('/v2/info/usage', { config: { summary: 'What the project uses' } }, async (request) => {
    const { images, storedBytes, uploading } = await parts.catalog.images.usage(request.caller.projectId);
    return {
      usage: {
        image_size_total: unlimited(Math.ceil(storedBytes / 2 ** 20)),
        image_count_total: unlimited(images),
        image_count_uploading: unlimited(uploading),
      },
    };
  });
}

/** A use without a limit. */
function unlimited(usage: number): { readonly usage: number; readonly limit: number } {
  return { usage, limit: -1 };
}

function described({ settings, stores }: ApiParts, { id, description }: StoreDescription): Record<string, unknown> {
  return {
    id,
    ...(description === undefined ? {} : { description }),
    ...(id === settings.defaultStore ? { default: 'true' } : {}),
    ...(stores.get(id)?.readOnly === true ? { 'read-only': 'true' } : {}),
  };
}
