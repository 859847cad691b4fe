import { badRequest } from './http-error.ts';
import { isObject } from './json-body.ts';

/** The media types of changes to an image, newest first. */
export const PATCH_TYPES: readonly string[] = [
  'application/openstack-images-v2.1-json-patch',
  'application/openstack-images-v2.0-json-patch',
];

/** One change of a document, its path taken apart. */
export interface PatchOperation {
  readonly op: 'add' | 'replace' | 'remove';
  readonly path: readonly string[];
  readonly value: unknown;
}

const OPERATIONS = ['add', 'replace', 'remove'] as const;

/** The changes in a body of one of `PATCH_TYPES`. Throws 400 with what is wrong. */
export function parsePatch(body: unknown, mediaType: string): readonly PatchOperation[] {
  if (!Array.isArray(body)) throw badRequest('Request body must be a JSON array of operation objects.');
  const old = mediaType.includes('v2.0');
  return body.map((change: unknown) => {
    if (!isObject(change)) throw badRequest('Operations must be JSON objects.');
    return old ? olderOperation(change) : operation(change);
  });
}

/** `{"op": "replace", "path": "/name", "value": "x"}`. RFC 6902. */
function operation(change: Readonly<Record<string, unknown>>): PatchOperation {
  const op = OPERATIONS.find((known) => known === change['op']);
  if (op === undefined) {
    throw badRequest(
      `Operations must be one of ${OPERATIONS.join(', ')}; found ${JSON.stringify(change['op'] ?? null)}`,
    );
  }
  if (op !== 'remove' && !('value' in change)) throw badRequest(`Operation "${op}" requires a member named "value".`);
  return { op, path: parsePath(change['path']), value: change['value'] };
}

/** `{"replace": "/name", "value": "x"}`: how drafts of RFC 6902 had it. */
function olderOperation(change: Readonly<Record<string, unknown>>): PatchOperation {
  const given = OPERATIONS.filter((known) => known in change);
  const [op] = given;
  if (op === undefined || given.length > 1) {
    throw badRequest(`Operation objects must contain exactly one of ${OPERATIONS.join(', ')}`);
  }
  if (op !== 'remove' && !('value' in change)) throw badRequest(`Operation "${op}" requires a member named "value".`);
  return { op, path: parsePath(change[op]), value: change['value'] };
}

/** The parts of a JSON pointer. RFC 6901. */
function parsePath(pointer: unknown): readonly string[] {
  if (typeof pointer !== 'string') throw badRequest('Operation requires a path.');
  if (!pointer.startsWith('/')) throw badRequest(`Pointer \`${pointer}\` does not start with "/".`);
  const parts = pointer.slice(1).split('/');
  if (parts.some((part) => part.trim() === '')) throw badRequest(`Pointer \`${pointer}\` has an empty part.`);
  if (/~(?![01])/.test(pointer))
    throw badRequest(`Pointer \`${pointer}\` contains "~" not part of a recognized escape.`);
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}
