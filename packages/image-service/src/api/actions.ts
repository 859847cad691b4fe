import type { FastifyInstance } from 'fastify';
import { changeImage } from '../catalog/repositories.ts';
import type { ApiParts } from './api-parts.ts';
import { HttpError } from './http-error.ts';
import { imageFor } from './image-access.ts';

/** `POST /v2/images/{id}/actions/...`. */
export function actionRoutes(app: FastifyInstance, parts: ApiParts): void {
  const inspection = { summary: 'Say what the data of an image is, and change nothing' };
  app.post('/v2/images/:imageId/actions/inspect', { config: inspection }, async (request) => {
    const image = await imageFor(parts, 'inspect_image', request);
    const found = await parts.data.inspect(image);
    if (found !== undefined) return found;
    throw new HttpError(409, `Image ${image.id} has no data yet`);
  });
  for (const [action, from, to] of [
    ['deactivate', 'active', 'deactivated'],
    ['reactivate', 'deactivated', 'active'],
  ] as const) {
    const summary = `${action.charAt(0).toUpperCase()}${action.slice(1)} an image`;
    app.post(`/v2/images/:imageId/actions/${action}`, { config: { summary } }, async (request, reply) => {
      const image = await imageFor(parts, action, request);
      await changeImage(parts.catalog.images, image.id, ({ status }) => {
        if (status === to) return undefined;
        if (status !== from) throw new HttpError(403, `An image that is ${status} cannot become ${to}.`);
        return { status: to };
      });
      if (to === 'deactivated') await parts.cache?.forget(image.id);
      return reply.code(204).send();
    });
  }
}
