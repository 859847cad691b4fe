import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiSettings } from './api-parts.ts';

/** What is served, newest first. 2.12 and later tell clients that the tasks of an image can be asked for. */
const MINORS = [17, 15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
/** What is served beside that where images are cached. */
const CACHE_MINORS = [18, 16, 14];

interface Version {
  readonly id: string;
  readonly status: 'CURRENT' | 'SUPPORTED';
  readonly links: readonly { readonly rel: string; readonly href: string }[];
}

/** `/`, `/versions`, `/v2`: the document by which clients find out what they may ask for. */
export function versionRoutes(app: FastifyInstance, settings: ApiSettings): void {
  const document = (request: FastifyRequest): { readonly versions: readonly Version[] } => ({
    versions: versions(settings, settings.publicEndpoint ?? `${request.protocol}://${request.host}`),
  });
  for (const url of ['/', '/v2', '/v2/']) {
    app.get(url, { config: { open: true, summary: 'The versions of this API' } }, (request, reply) =>
      reply.code(300).send(document(request)),
    );
  }
  for (const url of ['/versions', '/versions/']) {
    app.get(url, { config: { open: true, summary: 'The versions of this API' } }, (request) => document(request));
  }
}

function versions({ servesCache }: ApiSettings, endpoint: string): readonly Version[] {
  const href = `${endpoint.replace(/\/+$/, '')}/v2/`;
  const minors = servesCache ? [...MINORS, ...CACHE_MINORS].toSorted((a, b) => b - a) : MINORS;
  return minors.map((minor, position) => ({
    id: `v2.${minor}`,
    status: position === 0 ? 'CURRENT' : 'SUPPORTED',
    links: [{ rel: 'self', href }],
  }));
}
