import { badRequest } from './http-error.ts';

/** The query of a URL: values by name, several where a name is repeated. */
export type UrlQuery = Readonly<Record<string, string | readonly string[]>>;

/** The value of a name that may stand once; undefined when it does not. Throws 400 when it stands twice. */
export function singleValue(query: UrlQuery, name: string): string | undefined {
  const value = query[name];
  if (value === undefined || typeof value === 'string') return value;
  throw badRequest(`${name} may be given only once`);
}

/** All values of a name. */
export function allValues(query: UrlQuery, name: string): readonly string[] {
  const value = query[name] ?? [];
  return typeof value === 'string' ? [value] : value;
}

/** How many things one page has. Throws 400 for what is no number. */
export function pageLimit(query: UrlQuery, size: { readonly usual: number; readonly most: number }): number {
  const given = singleValue(query, 'limit');
  if (given === undefined) return Math.min(size.usual, size.most);
  if (!/^-?\d+$/.test(given)) throw badRequest('limit param must be an integer');
  if (Number(given) < 0) throw badRequest('limit param must be positive');
  return Math.min(Number(given), size.most);
}

/** The URLs of the first page and, when there may be one, of the next; `last` is the last thing of this page. */
export function pageLinks(url: string, last: string | undefined): { readonly first: string; readonly next?: string } {
  const [path = '', text = ''] = url.split('?');
  const query = new URLSearchParams(text);
  query.delete('marker');
  const at = (parameters: URLSearchParams): string => (parameters.size === 0 ? path : `${path}?${parameters}`);
  const first = at(query);
  if (last === undefined) return { first };
  query.append('marker', last);
  return { first, next: at(query) };
}
