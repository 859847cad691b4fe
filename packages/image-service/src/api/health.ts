import type { FastifyInstance } from 'fastify';
import type { ApiParts } from './api-parts.ts';

/** `/healthcheck` (is it ready to work) and `/healthcheck/live` (does it answer at all), for what watches services. */
export function healthRoutes(app: FastifyInstance, { unreadiness }: Pick<ApiParts, 'unreadiness'>): void {
  const config = { open: true };
  app.route({
    method: ['GET', 'HEAD'],
    url: '/healthcheck',
    config: { ...config, summary: 'Is the service ready to work' },
    handler: async (request, reply) => {
      const reason = await unreadiness();
      if (reason !== undefined) return reply.code(503).type('text/plain; charset=utf-8').send(`${reason}\n`);
      if (request.method === 'HEAD') return reply.code(204).send();
      return reply.type('text/plain; charset=utf-8').send('OK');
    },
  });
  app.get('/healthcheck/live', { config: { ...config, summary: 'Does the service answer' } }, (_request, reply) =>
    reply.type('text/plain; charset=utf-8').send('OK'),
  );
}
