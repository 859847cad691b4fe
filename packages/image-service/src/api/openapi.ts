import type { FastifyInstance } from 'fastify';
import type { ApiSettings } from './api-parts.ts';
import type { ServedRoute } from './route-table.ts';
import { servedSchemas } from './schema-routes.ts';

/** `/openapi.json`: everything that is served, as OpenAPI 3.1. Made when it is asked for, from the routes themselves. */
export function openApiRoute(app: FastifyInstance, table: readonly ServedRoute[], settings: ApiSettings): void {
  app.get('/openapi.json', { config: { open: true, summary: 'This description' } }, () =>
    openApiDocument(table, settings),
  );
}

function openApiDocument(table: readonly ServedRoute[], settings: ApiSettings): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of table) {
    const path = route.url.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  const schemas = Object.entries(servedSchemas(settings)).map(([name, schema]) => {
    const { name: _name, links: _links, ...rules } = schema;
    return [name, { type: 'object', ...rules }];
  });
  return {
    openapi: '3.1.0',
    info: { title: 'diskmorph: Images API v2', version: settings.version, license: { name: 'Apache-2.0' } },
    paths,
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
    },
  };
}

function operationOf({ method, url, summary, open }: ServedRoute): unknown {
  const parameters = [...url.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    summary,
    operationId: `${method.toLowerCase()}${url.replaceAll(/[^A-Za-z0-9]+(\w?)/g, (_match, letter: string) => letter.toUpperCase())}`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(open ? {} : { security: [{ token: [] }] }),
    responses: { default: { description: 'What comes of it; errors are HTML, or JSON where Accept asks for it' } },
  };
}
