import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ImageRecord } from '../catalog/image.ts';
import type { ApiParts } from './api-parts.ts';
import type { UrlQuery } from './page.ts';
import { singleValue } from './page.ts';
import { sendData } from './send-data.ts';

/**
 * `GET /v2/images/{id}/file?format=...`: the image in another format, made while it is sent; further names of the query
 * are options of the format. Nothing is left to do when the caller goes away.
 */
export async function sendConverted(
  parts: ApiParts,
  image: ImageRecord,
  call: { readonly request: FastifyRequest; readonly reply: FastifyReply },
): Promise<FastifyReply> {
  const { request, reply } = call;
  const control = new AbortController();
  reply.raw.once('close', () => control.abort());
  const wanted = wantedFormat(request.query as UrlQuery);
  const data = await parts.data.openConverted(image, wanted, control.signal);
  if (data === undefined) return reply.code(204).send();
  try {
    reply.raw.setTimeout(data.stallMs, () => reply.raw.destroy());
    return sendData(call, data, data);
  } catch (error) {
    await data.close();
    throw error;
  }
}

function wantedFormat(query: UrlQuery): {
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
} {
  const names = Object.keys(query).filter((name) => name !== 'format');
  const options = names.map((name): [string, string] => [name, singleValue(query, name) ?? '']);
  return { format: singleValue(query, 'format') ?? '', options: Object.fromEntries(options) };
}
