import type { FastifyRequest } from 'fastify';
import type { PolicyTarget } from '../../auth/caller.ts';
import { knowsOfImage } from '../../auth/visibility.ts';
import { CatalogError } from '../../catalog/errors.ts';
import type { NamespaceRecord } from '../../catalog/metadefs/definition.ts';
import type { ApiParts } from '../api-parts.ts';
import { badRequest, HttpError } from '../http-error.ts';
import { demand, paramOf } from '../image-access.ts';
import { isObject } from '../json-body.ts';
import type { SchemaCheck } from '../schema-check.ts';

const SEE = 'get_metadef_namespace';

/** The namespace of the URL, if the caller may know of it and may do all this. Throws 404, 403. */
export async function namespaceFor(
  parts: ApiParts,
  request: Pick<FastifyRequest, 'caller' | 'params'>,
  ...rules: readonly string[]
): Promise<NamespaceRecord> {
  const name = paramOf(request.params, 'namespace');
  const namespace = await parts.catalog.metadefs.namespace(name).catch((error: unknown) => {
    if (error instanceof CatalogError && error.code === 'not_found') return undefined;
    throw error;
  });
  const seen = namespace !== undefined && knowsOfImage(request.caller, { ...namespace, sharedWithCaller: false });
  if (!seen) throw noNamespace(name);
  const target = namespaceTarget(namespace);
  for (const rule of rules) {
    if (parts.policy.allows(rule, request.caller, target)) continue;
    if (rule === SEE || !parts.policy.allows(SEE, request.caller, target)) throw noNamespace(name);
    demand(parts, rule, request.caller, target);
  }
  return namespace;
}

/** What rules are told of a namespace. */
export function namespaceTarget({ owner, visibility }: Pick<NamespaceRecord, 'owner' | 'visibility'>): PolicyTarget {
  return { project_id: owner, owner, visibility };
}

function noNamespace(name: string): HttpError {
  return new HttpError(404, `Metadata definition namespace=${name.slice(0, 100)} was not found.`);
}

/** Throws 403 when the namespace does not let go of anything. */
export function refuseProtected(namespace: NamespaceRecord, what: string): void {
  if (!namespace.protected) return;
  throw new HttpError(403, `Metadata definition ${what} is protected and cannot be deleted.`);
}

/** The body, if it is what the schema says and sets nothing of `readOnly`. Throws 400, 403. */
export function checkedBody(
  request: Pick<FastifyRequest, 'body'>,
  check: SchemaCheck,
  readOnly: readonly string[],
): Readonly<Record<string, unknown>> {
  const { body } = request;
  if (body === undefined || body === null) throw badRequest('Body expected in request.');
  if (!isObject(body)) throw badRequest('The body must be a JSON object');
  const written = readOnly.find((name) => name in body);
  if (written !== undefined) throw new HttpError(403, `Attribute '${written}' is read-only.`);
  check(body);
  return body;
}
