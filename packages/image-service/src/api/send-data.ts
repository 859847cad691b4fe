import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpenedData } from './api-parts.ts';
import type { ByteRange } from './byte-range.ts';
import { parseRange } from './byte-range.ts';
import { HttpError } from './http-error.ts';
import { sentPieces } from './sent-pieces.ts';

/** What is told of data that is sent. */
export interface SentData {
  /** MD5 of all of it, in hex; null where it is not known. */
  readonly checksum: string | null;
  /** The ETag; null where nobody can tell when the bytes change. */
  readonly tag: string | null;
}

/** Answers with the data, or the part of it that is asked for; the memory of what is read is the answer's. Throws 416. */
export function sendData(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  data: OpenedData,
  { checksum, tag }: SentData,
): FastifyReply {
  const etag = tag === null ? undefined : `"${tag}"`;
  const range = rangeOf(request, data.sizeBytes, etag);
  reply.header('accept-ranges', 'bytes').type('application/octet-stream');
  if (etag !== undefined) reply.header('etag', etag);
  if (range === undefined) {
    if (checksum !== null) reply.header('content-md5', checksum);
    return reply.header('content-length', data.sizeBytes).send(sentPieces(data.read(), reply));
  }
  const last = range.offset + range.length - 1;
  return reply
    .code(206)
    .header('content-range', `bytes ${range.offset}-${last}/${data.sizeBytes}`)
    .header('content-length', range.length)
    .send(sentPieces(data.read(range), reply));
}

/** The range, unless what the caller has the beginning of is not what there is now. RFC 9110, section 13.1.5. */
function rangeOf(request: FastifyRequest, sizeBytes: number, etag: string | undefined): ByteRange | undefined {
  const condition = request.headers['if-range'];
  if (condition !== undefined && condition !== etag) return undefined;
  const range = parseRange(request.headers.range, sizeBytes);
  if (range !== 'unsatisfiable') return range;
  throw new HttpError(416, `The range ${request.headers.range ?? ''} lies outside of the ${sizeBytes} bytes`, {
    headers: { 'content-range': `bytes */${sizeBytes}` },
  });
}
