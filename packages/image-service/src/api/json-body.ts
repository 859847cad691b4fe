import { badRequest } from './http-error.ts';

/** A JSON document; undefined for an empty text. Throws 400. */
export function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text, (key, value: unknown) => {
      if (key === '__proto__') throw new Error('"__proto__" cannot be the name of a value');
      return value;
    });
  } catch (error) {
    throw badRequest(`Malformed JSON in request body: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** True of a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The body as a JSON object. Throws 400. */
export function objectBody(body: unknown): Readonly<Record<string, unknown>> {
  if (isObject(body)) return body;
  throw badRequest('The body must be a JSON object');
}
