import type { FastifyInstance } from 'fastify';
import { changeImage } from '../catalog/repositories.ts';
import type { ApiParts } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { imageFor, paramOf } from './image-access.ts';
import { refuseOver } from './image-changes.ts';

/** Characters of a tag. */
const MAX_TAG_LENGTH = 255;

/** `/v2/images/{id}/tags/{tag}`. */
export function tagRoutes(app: FastifyInstance, parts: ApiParts): void {
  const url = '/v2/images/:imageId/tags/:tag';
  app.put(url, { config: { summary: 'Tag an image' } }, async (request, reply) => {
    const image = await imageFor(parts, 'modify_image', request);
    const tag = paramOf(request.params, 'tag');
    if (tag.length > MAX_TAG_LENGTH) throw badRequest(`A tag has at most ${MAX_TAG_LENGTH} characters`);
    await changeImage(parts.catalog.images, image.id, ({ tags }) => {
      const tagged = [...new Set([...tags, tag])];
      refuseOver('tags', tagged.length, parts.settings.quotas.tags);
      return { tags: tagged };
    });
    return reply.code(204).send();
  });
  app.delete(url, { config: { summary: 'Take a tag off an image' } }, async (request, reply) => {
    const image = await imageFor(parts, 'modify_image', request);
    const tag = paramOf(request.params, 'tag');
    await changeImage(parts.catalog.images, image.id, ({ tags }) => {
      if (!tags.includes(tag)) throw new HttpError(404, `Image ${image.id} has no tag ${tag}`);
      return { tags: tags.filter((each) => each !== tag) };
    });
    return reply.code(204).send();
  });
}
