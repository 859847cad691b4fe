import type { FastifyInstance } from 'fastify';
import type { ApiSettings } from '../api-parts.ts';
import type { ServedRoute } from '../route-table.ts';
import type { OpenApiDocument } from './document.ts';
import { openApiDocument } from './document.ts';
import type { DocumentPage } from './page.ts';
import { documentPage } from './page.ts';

/** `/openapi.json` and `/docs`: everything that is served, for programs and for people. Made from the routes themselves. */
export function openApiRoutes(app: FastifyInstance, table: readonly ServedRoute[], settings: ApiSettings): void {
  // Made once, when somebody asks: all routes are there by then.
  let document: OpenApiDocument | undefined;
  let page: DocumentPage | undefined;
  const described = (): OpenApiDocument => (document ??= openApiDocument(table, settings));
  app.get('/openapi.json', { config: { open: true, summary: 'This description' } }, described);
  app.get('/docs', { config: { open: true, summary: 'This description, for people' } }, (_request, reply) => {
    const { html, securityPolicy } = (page ??= documentPage(described()));
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', securityPolicy)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .send(html);
  });
}
