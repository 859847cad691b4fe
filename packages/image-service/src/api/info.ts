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
    const { projectId } = request.caller;
    const use = await parts.catalog.images.usage(projectId);
    const limits = await parts.projectLimits.of(projectId);
    return {
      usage: {
        image_size_total: mebibytes(use.storedBytes, limits.storedBytes),
        image_stage_total: mebibytes(use.stagedBytes, limits.stagedBytes),
        image_count_total: { usage: use.images, limit: limits.images ?? -1 },
        image_count_uploading: { usage: use.uploading, limit: limits.uploading ?? -1 },
      },
    };
  });
}

/** Bytes as clients read them; a limit of -1 is none. */
function mebibytes(bytes: number, limit: number | undefined): { readonly usage: number; readonly limit: number } {
  return { usage: Math.ceil(bytes / 2 ** 20), limit: limit === undefined ? -1 : Math.floor(limit / 2 ** 20) };
}

function described({ settings, stores }: ApiParts, { id, description }: StoreDescription): Record<string, unknown> {
  return {
    id,
    ...(description === undefined ? {} : { description }),
    ...(id === settings.defaultStore ? { default: 'true' } : {}),
    ...(stores.get(id)?.readOnly === true ? { 'read-only': 'true' } : {}),
  };
}
