import type { FastifyInstance } from 'fastify';
import fastify from 'fastify';
import type { Figures } from '../telemetry/figures.ts';
import type { ApiParts } from './api-parts.ts';
import type { LookAtHealth } from './health.ts';
import { sendDetails } from './health.ts';
import { HttpError } from './http-error.ts';

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** `GET /metrics` on the port of the API, for administrators. */
export function figuresRoute(app: FastifyInstance, parts: Pick<ApiParts, 'watch'>): void {
  app.get('/metrics', { config: { summary: 'Figures for Prometheus' } }, async (request, reply) => {
    if (!request.caller.isAdmin) throw new HttpError(403, 'Figures are for administrators.');
    return reply.type(PROMETHEUS_TEXT).send(await parts.watch.figures.text());
  });
}

/** A server of its own for those who watch the service: `/metrics` and `/healthcheck`; nobody is asked who they are. */
export function watchersServer(figures: Figures, health: LookAtHealth): FastifyInstance {
  const app = fastify({ forceCloseConnections: true });
  app.get('/metrics', async (_request, reply) => reply.type(PROMETHEUS_TEXT).send(await figures.text()));
  app.get('/healthcheck', async (_request, reply) => sendDetails(await health(undefined), reply));
  app.get('/healthcheck/live', (_request, reply) => reply.type('text/plain; charset=utf-8').send('OK'));
  return app;
}
