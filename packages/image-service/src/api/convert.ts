import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ImageRecord } from '../catalog/image.ts';
import type { ApiParts, ConversionCall } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { imageFor } from './image-access.ts';
import { askerOf, jsonOf } from './import.ts';
import { isObject, objectBody } from './json-body.ts';
import { taskDocument } from './tasks.ts';

const KNOWN = ['format', 'options', 'container_format', 'force'];

/** `POST /v2/images/{id}/actions/convert`: the image in another format, in place. */
export function convertRoute(app: FastifyInstance, parts: ApiParts): void {
  const config = { summary: 'Convert an image that is in use, by a task' };
  app.post('/v2/images/:imageId/actions/convert', { config }, async (request, reply) => {
    const image = await imageFor(parts, 'convert_image', request);
    if (image.protected) throw new HttpError(403, `Image ${image.id} is protected and its data cannot be replaced.`);
    const task = await parts.imports.convert(conversionCall(image, request));
    return reply
      .code(202)
      .header('location', `/v2/tasks/${task.id}`)
      .send(await taskDocument(parts, task));
  });
}

function conversionCall(image: ImageRecord, request: FastifyRequest): ConversionCall {
  const body = objectBody(request.body);
  const unknown = Object.keys(body).find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw badRequest(`'${unknown}' is not one of ${KNOWN.join(', ')}`);
  const { format, options, container_format: container, force = false } = body;
  if (typeof format !== 'string') throw badRequest("'format' must name the format to convert to");
  if (container !== undefined && typeof container !== 'string') throw badRequest("'container_format' must be a text");
  if (typeof force !== 'boolean') throw badRequest("'force' must be true or false");
  return {
    imageId: image.id,
    format,
    ...(options === undefined ? {} : { options: optionsOf(options) }),
    ...(container === undefined ? {} : { containerFormat: container }),
    rewrite: force ? 'always' : 'when-different',
    asker: askerOf(request),
    taskInput: { image_id: image.id, convert_req: jsonOf(body) },
  };
}

/** Options as they would be written on a command line. */
function optionsOf(given: unknown): Readonly<Record<string, string>> {
  if (!isObject(given)) throw badRequest("'options' must be an object of names and values");
  const entries = Object.entries(given).map(([name, value]): [string, string] => {
    if (typeof value === 'boolean') return [name, value ? 'on' : 'off'];
    if (typeof value === 'string' || typeof value === 'number') return [name, String(value)];
    throw badRequest(`The option '${name}' must be a text, a number, true or false`);
  });
  return Object.fromEntries(entries);
}
