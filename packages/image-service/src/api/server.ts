import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastify from 'fastify';
import type { Caller } from '../auth/caller.ts';
import type { ApiParts } from './api-parts.ts';
import { callHeaders } from './call-headers.ts';
import { callId } from './call-id.ts';
import { answerClientErrors } from './client-error.ts';
import { convertRoute } from './convert.ts';
import { watchCalls } from './calls.ts';
import { figuresRoute } from './figures.ts';
import { healthRoutes } from './health.ts';
import { errorBody, HttpError, httpErrorOf } from './http-error.ts';
import { imageDataRoutes } from './image-data.ts';
import { imageListRoute } from './image-list.ts';
import { imageRoutes } from './images.ts';
import { importRoute } from './import.ts';
import { actionRoutes } from './actions.ts';
import { taskRoutes } from './tasks.ts';
import { taskEventsRoute } from './task-events.ts';
import { cacheRoutes } from './cache.ts';
import { infoRoutes } from './info.ts';
import { PATCH_TYPES } from './json-patch.ts';
import { parseJson } from './json-body.ts';
import { locationRoutes } from './locations.ts';
import { memberRoutes } from './members.ts';
import { metadefRoutes } from './metadefs/routes.ts';
import { openApiRoutes } from './openapi/routes.ts';
import { methodsOf, routeTable } from './route-table.ts';
import { schemaRoutes } from './schema-routes.ts';
import { tagRoutes } from './tags.ts';
import { HEADERS_MS, limitTransfers } from './transfer-limits.ts';
import { versionRoutes } from './versions.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; set before any route that is not open. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** One line for the description of the API. */
    summary?: string;
    /** Nobody is asked who they are. */
    open?: boolean;
  }
}

/** Bytes of a JSON body. */
const MAX_DOCUMENT_BYTES = 1024 * 1024;
/** Longest URL part, such as an id or a tag. */
const MAX_PARAM_LENGTH = 300;

/** The whole API, not yet listening. */
export function apiServer(parts: ApiParts): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_DOCUMENT_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: false },
    // Uploads last as long as they last; what stalls is stopped by whoever reads it.
    requestTimeout: 0,
    connectionTimeout: 0,
    http: { headersTimeout: HEADERS_MS },
    exposeHeadRoutes: false,
    requestIdHeader: false,
    genReqId: (request) => callId(request.headers['x-openstack-request-id']),
    forceCloseConnections: 'idle',
  });
  answerClientErrors(app.server);
  // Open routes have no caller, and ask for none.
  app.decorateRequest('caller', null as unknown as Caller);
  watchCalls(app, parts.watch);
  const table = routeTable(app);
  addParsers(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-openstack-request-id', request.id);
    if (request.routeOptions.config.open === true || request.is404) return;
    request.caller = await parts.authenticator.authenticate(callHeaders(request));
  });
  limitTransfers(app, parts.settings.transfers);
  app.setErrorHandler((error, request, reply) => sendError(parts, { error: error as FastifyError, request, reply }));
  app.setNotFoundHandler((request, reply) => {
    const methods = methodsOf(table, request.url);
    const error =
      methods.length === 0
        ? new HttpError(404, 'The resource could not be found.')
        : new HttpError(405, `The method ${request.method} is not allowed for this resource.`, {
            headers: { allow: methods.join(', ') },
          });
    return sendError(parts, { error, request, reply });
  });
  addRoutes(app, parts);
  openApiRoutes(app, table, parts.settings);
  return app;
}

function addRoutes(app: FastifyInstance, parts: ApiParts): void {
  versionRoutes(app, parts.settings);
  healthRoutes(app, parts);
  figuresRoute(app, parts);
  schemaRoutes(app, parts.settings);
  imageListRoute(app, parts);
  imageRoutes(app, parts);
  imageDataRoutes(app, parts);
  tagRoutes(app, parts);
  memberRoutes(app, parts);
  locationRoutes(app, parts);
  cacheRoutes(app, parts);
  importRoute(app, parts);
  taskRoutes(app, parts);
  taskEventsRoute(app, parts);
  actionRoutes(app, parts);
  convertRoute(app, parts);
  infoRoutes(app, parts);
  metadefRoutes(app, parts);
}

function addParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  // Clients send JSON under several names, or none at all.
  for (const type of ['application/json', ...PATCH_TYPES]) {
    app.addContentTypeParser(type, { parseAs: 'string' }, (_request, body, done) => parseBody(String(body), done));
  }
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    // Some name a type for nothing at all.
    if (request.headers['content-type'] === undefined || body === '') parseBody(String(body), done);
    else done(new HttpError(415, `Content of the type ${request.headers['content-type']} is not understood here`));
  });
}

function parseBody(text: string, done: (error: Error | null, body?: unknown) => void): void {
  try {
    done(null, parseJson(text));
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
  }
}

function tellFault({ watch }: ApiParts, error: Error, { id, method, routeOptions }: FastifyRequest): void {
  watch.log.error('A call met an error that nobody foresaw', {
    request_id: id,
    method,
    route: routeOptions.url,
    err: error,
  });
}

interface Failed {
  readonly error: Error;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function unforeseen(parts: ApiParts, error: Error, { id }: FastifyRequest): HttpError {
  return parts.isOutage(error)
    ? new HttpError(503, 'The database does not answer; try again', { headers: { 'retry-after': '5' } })
    : new HttpError(500, `An internal error; the log of the service has it as ${id}`);
}

function sendError(parts: ApiParts, { error, request, reply }: Failed): FastifyReply {
  const known = httpErrorOf(error);
  if (known === undefined) tellFault(parts, error, request);
  const told = known ?? unforeseen(parts, error, request);
  const { type, text } = errorBody(told, request.headers.accept);
  if (told.status === 415 && request.method === 'PATCH') reply.header('accept-patch', PATCH_TYPES.join(', '));
  // What is still being sent will not be read.
  if (!request.raw.complete) reply.header('connection', 'close');
  for (const [name, value] of Object.entries(told.headers)) reply.header(name, value);
  return reply.code(told.status).type(type).send(text);
}
