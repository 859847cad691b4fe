import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CatalogError } from '../catalog/errors.ts';
import type { ApiParts } from './api-parts.ts';
import { badRequest } from './http-error.ts';
import { demand, viewerOf, visibleImage } from './image-access.ts';
import { parseListQuery } from './list-query.ts';
import { pageLinks, pageLimit, singleValue } from './page.ts';
import { shownImage } from './shown-image.ts';

/** `GET /v2/images`: pages of images, filtered and sorted. */
export function imageListRoute(app: FastifyInstance, parts: ApiParts): void {
  app.get('/v2/images', { config: { summary: 'List images' } }, (request) => listImages(parts, request));
}

async function listImages(parts: ApiParts, request: FastifyRequest): Promise<unknown> {
  const { caller } = request;
  demand(parts, 'get_images', caller, { project_id: caller.projectId });
  const given = request.query as Readonly<Record<string, string | readonly string[]>>;
  const { memberStatus, ...query } = parseListQuery(given);
  const limit = pageLimit(given, parts.settings.pageSize);
  const marker = singleValue(given, 'marker');
  if (marker !== undefined) await visibleMarker(parts, request, marker);
  const viewer = { ...viewerOf(caller), ...(memberStatus === undefined ? {} : { memberStatus }) };
  const images = await parts.catalog.images.list({
    ...query,
    viewer,
    limit,
    ...(marker === undefined ? {} : { afterId: marker }),
  });
  return {
    images: await Promise.all(images.map((image) => shownImage(parts, caller, image))),
    ...pageLinks(request.url, limit > 0 && images.length === limit ? images.at(-1)?.id : undefined),
    schema: '/v2/schemas/images',
  };
}

async function visibleMarker(parts: ApiParts, request: FastifyRequest, marker: string): Promise<void> {
  await visibleImage(parts, request.caller, marker).catch((error: unknown) => {
    if (error instanceof CatalogError || (error instanceof Error && 'status' in error)) {
      throw badRequest('Invalid marker. Image could not be found.');
    }
    throw error;
  });
}
