import type { Context, Span } from '@opentelemetry/api';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Figures } from '../telemetry/figures.ts';
import type { Log } from '../telemetry/log.ts';
import { withLogContext } from '../telemetry/log-context.ts';
import { contextOfCall } from '../telemetry/traces.ts';

/** Where what happens to calls is told. */
export interface CallWatch {
  readonly log: Log;
  readonly figures: Figures;
}

/** A call under way. */
interface Call {
  readonly began: number;
  readonly socket: FastifyRequest['raw']['socket'];
  readonly read: number;
  readonly written: number;
  readonly span: Span;
  readonly context: Context;
}

/** The status in log and figures of a call whose caller went away before its end. */
const CALLER_GONE = 499;
/** What machines ask every few seconds: a line for each would hide the others. */
const ASKED_OFTEN = /^\/(?:healthcheck|metrics)/;

/**
 * A line in the log, figures and a span for each call; what is logged while it is answered bears its id. To be called
 * before other hooks are added.
 */
export function watchCalls(app: FastifyInstance, { log, figures }: CallWatch): void {
  const calls = new WeakMap<FastifyRequest, Call>();
  const within = (request: FastifyRequest, call: Call, go: () => void): void =>
    withLogContext({ request_id: request.id }, () => context.with(call.context, go));
  app.addHook('onRequest', (request, reply, done) => {
    const call = beginCall(request);
    calls.set(request, call);
    figures.callBegan();
    reply.raw.once('close', () => endCall({ log, figures }, call, { request, reply }));
    within(request, call, done);
  });
  // Once a body was read, whatever goes on does so in the connection's own context.
  app.addHook('preValidation', (request, _reply, done) => {
    const call = calls.get(request);
    if (call === undefined) done();
    else within(request, call, done);
  });
}

function beginCall(request: FastifyRequest): Call {
  const { socket, headers } = request.raw;
  const parent = contextOfCall(headers);
  const { method } = request;
  const attributes = { 'http.request.method': method, 'http.route': routeOf(request), 'url.path': pathOf(request) };
  const span = trace
    .getTracer('diskmorph')
    .startSpan(`${method} ${routeOf(request)}`, { kind: SpanKind.SERVER, attributes }, parent);
  return {
    began: performance.now(),
    // The call itself lets go of its connection when that is closed early.
    socket,
    ...countedBytes(socket),
    span,
    context: trace.setSpan(parent, span),
  };
}

/** What a connection had moved when the last call on it ended. */
const movedBefore = new WeakMap<object, { readonly read: number; readonly written: number }>();

function countedBytes(socket: FastifyRequest['raw']['socket']): { readonly read: number; readonly written: number } {
  return movedBefore.get(socket) ?? { read: 0, written: 0 };
}

interface Answered {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function endCall({ log, figures }: CallWatch, call: Call, { request, reply }: Answered): void {
  const { socket } = call;
  const moved = { read: socket.bytesRead, written: socket.bytesWritten };
  movedBefore.set(socket, moved);
  const seconds = (performance.now() - call.began) / 1000;
  const status = reply.raw.writableFinished ? reply.raw.statusCode : CALLER_GONE;
  const { method } = request;
  const route = routeOf(request);
  const [receivedBytes, sentBytes] = [moved.read - call.read, moved.written - call.written];
  figures.callEnded({ method, route, status, seconds, receivedBytes, sentBytes });
  endSpan(call.span, status);
  const path = pathOf(request);
  const level = ASKED_OFTEN.test(path) && status < 400 ? 'debug' : 'info';
  log[level](`${method} ${path} ${status}`, {
    request_id: request.id,
    method,
    path,
    status,
    duration_ms: Math.round(seconds * 1e6) / 1000,
    received_bytes: receivedBytes,
    sent_bytes: sentBytes,
    client: request.ip,
    ...callerFields(request),
  });
}

function endSpan(span: Span, status: number): void {
  span.setAttribute('http.response.status_code', status);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** Null before anybody was asked who is calling. */
function callerFields({
  caller,
}: {
  readonly caller: FastifyRequest['caller'] | null;
}): Readonly<Record<string, unknown>> {
  return caller === null ? {} : { project_id: caller.projectId, user_id: caller.userId };
}

/** The pattern of the route; one word for all that lead nowhere. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown';
}

/** What was asked for, without the query: that may hold what only the caller is to know. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}
