import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import type { ImageRecord } from '../catalog/image.ts';
import type { ApiParts, DataInCall } from './api-parts.ts';
import { sendConverted } from './converted-download.ts';
import { badRequest, HttpError } from './http-error.ts';
import { imageFor } from './image-access.ts';
import { askerOf } from './import.ts';
import type { UrlQuery } from './page.ts';
import { singleValue } from './page.ts';
import { sendData } from './send-data.ts';
import { receivedPieces } from './sent-pieces.ts';

const OCTETS = 'application/octet-stream';
/** The largest body; the configured cap on images is checked while bytes come. */
const MAX_BODY_BYTES = Number.MAX_SAFE_INTEGER;

/** `/v2/images/{id}/file` and `/v2/images/{id}/stage`: the data of images. */
export function imageDataRoutes(root: FastifyInstance, parts: ApiParts): void {
  root.register(async (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(OCTETS, (_request, payload, done) => done(null, payload));
    app.addContentTypeParser('*', (_request, _payload, done) =>
      done(new HttpError(415, `The data of an image is of the type ${OCTETS}`)),
    );
    const options = { bodyLimit: MAX_BODY_BYTES };
    app.put(
      '/v2/images/:imageId/file',
      { ...options, config: { summary: 'Give an image its data', transfer: 'upload' } },
      async (request, reply) => {
        const image = await imageFor(parts, 'upload_image', request);
        const store = request.headers['x-image-meta-store'];
        await parts.data.upload({ ...incoming(request, image), ...(typeof store === 'string' ? { store } : {}) });
        return reply.code(204).send();
      },
    );
    app.put(
      '/v2/images/:imageId/stage',
      { ...options, config: { summary: 'Keep data until it is imported', transfer: 'upload' } },
      async (request, reply) => {
        if (!parts.settings.importMethods.includes('glance-direct')) {
          throw new HttpError(404, 'The import method glance-direct is disabled.');
        }
        const image = await imageFor(parts, 'modify_image', request);
        await parts.data.stage(incoming(request, image));
        return reply.code(204).send();
      },
    );
    const given = { summary: 'Download the data of an image', transfer: 'download' } as const;
    app.get('/v2/images/:imageId/file', { config: given }, (request, reply) => download(parts, request, reply));
  });
}

/** The data in a call, and how much there must be of it. Throws 400, 415. */
function incoming(request: FastifyRequest, image: ImageRecord): Omit<DataInCall, 'store'> {
  const type = request.headers['content-type']?.split(';')[0]?.trim();
  if (type !== OCTETS) throw new HttpError(415, `The data of an image is of the type ${OCTETS}`);
  const announced = request.headers['x-openstack-image-size'] ?? request.headers['content-length'];
  const bytes = request.body instanceof Readable ? receivedPieces(request.body) : Readable.from([]);
  const sent = { imageId: image.id, bytes, asker: askerOf(request) };
  if (announced === undefined) return sent;
  if (typeof announced !== 'string' || !/^\d{1,15}$/.test(announced))
    throw badRequest('The size of the image is no number');
  return { ...sent, expectedBytes: Number(announced) };
}

async function download(parts: ApiParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const image = await imageFor(parts, 'download_image', request);
  if (image.status === 'deactivated' && !request.caller.isAdmin) {
    throw new HttpError(403, 'The requested image has been deactivated. Image data download is forbidden.');
  }
  if ('format' in (request.query as UrlQuery)) return sendConverted(parts, image, { request, reply });
  const prefer = singleValue(request.query as UrlQuery, 'prefer') ?? '';
  const data = await parts.data.open(
    image,
    prefer.split(',').map((store) => store.trim()),
  );
  if (data === undefined) return reply.code(204).send();
  const { checksum } = image;
  return sendData({ request, reply }, data, { checksum, tag: checksum });
}
