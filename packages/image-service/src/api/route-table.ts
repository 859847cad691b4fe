import type { FastifyInstance } from 'fastify';

/** One route as it is served. */
export interface ServedRoute {
  readonly method: string;
  /** With `:name` for a part that varies. */
  readonly url: string;
  readonly summary: string;
  /** Nobody is asked who they are. */
  readonly open: boolean;
}

/** Every route that is added to the server from now on, in order. */
export function routeTable(app: FastifyInstance): readonly ServedRoute[] {
  const table: ServedRoute[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const each of [method].flat()) {
      table.push({ method: each, url, summary: config?.summary ?? '', open: config?.open === true });
    }
  });
  return table;
}

/** The methods that are served at this URL, for callers who used another one. */
export function methodsOf(table: readonly ServedRoute[], url: string): readonly string[] {
  const path = url.split('?')[0] ?? '';
  return [...new Set(table.filter((route) => patternOf(route.url).test(path)).map((route) => route.method))];
}

function patternOf(url: string): RegExp {
  const parts = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}$`);
}
