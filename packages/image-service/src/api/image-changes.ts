import type { ImageChanges, ImageRecord, NewImage, Visibility } from '../catalog/image.ts';
import { VISIBILITIES } from '../catalog/image.ts';
import type { ApiSettings } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { BASE_ATTRIBUTES, imageDocument, isReserved, READ_ONLY_ATTRIBUTES } from './image-document.ts';
import type { PatchOperation } from './json-patch.ts';
import type { SchemaCheck } from './schema-check.ts';

/** What a document of a caller is held against. */
export interface DocumentRules {
  readonly check: SchemaCheck;
  readonly quotas: ApiSettings['quotas'];
}

type Document = Record<string, unknown>;

/** The new image that a caller describes. Throws 400, 403, 413. */
export function newImageOf(body: Readonly<Record<string, unknown>>, id: string, rules: DocumentRules): NewImage {
  for (const name of Object.keys(body)) refuseUnwritable(name);
  if ('locations' in body) throw locationsHidden('add');
  rules.check(body);
  checkQuotas(body, rules.quotas);
  return { ...fieldsOf(body), properties: propertiesOf(body), id: typeof body['id'] === 'string' ? body['id'] : id };
}

/** What the operations change of the image. Throws 400, 403, 409, 413; nothing is done then. */
export function changesOf(
  image: ImageRecord,
  operations: readonly PatchOperation[],
  rules: DocumentRules,
): ImageChanges {
  const document: Document = { ...imageDocument(image) };
  const touched = new Set<string>();
  for (const operation of operations) touched.add(applyOperation(document, operation));
  const changed = Object.fromEntries(
    [...touched].filter((name) => name in document).map((name) => [name, document[name]]),
  );
  rules.check(changed);
  const formats = ['disk_format', 'container_format'].filter((name) => touched.has(name));
  const format = formats.find((name) => document[name] !== imageDocument(image)[name]);
  if (format !== undefined && image.status !== 'queued') {
    throw new HttpError(403, `Attribute ${format} can be only replaced for a queued image.`);
  }
  checkQuotas(document, rules.quotas);
  return {
    ...fieldsOf(changed),
    ...([...touched].every((name) => BASE_ATTRIBUTES.includes(name))
      ? {}
      : { properties: { ...serviceProperties(image), ...propertiesOf(document) } }),
  };
}

/** Applies one operation and gives the name of the attribute that it is about. */
function applyOperation(document: Document, { op, path, value }: PatchOperation): string {
  const [name = '', ...deeper] = path;
  refuseUnwritable(name);
  if (name === 'id') throw readOnly(name);
  if (name === 'locations') throw locationsHidden(op);
  if (deeper.length > 0) throw badRequest(`Invalid JSON pointer for this resource: '/${path.join('/')}'`);
  const isBase = BASE_ATTRIBUTES.includes(name);
  if (op !== 'add' && !isBase && !(name in document)) throw new HttpError(409, `Property ${name} does not exist.`);
  if (op !== 'remove') document[name] = value;
  else if (isBase) throw new HttpError(403, `Property ${name} may not be removed.`);
  else delete document[name];
  return name;
}

function refuseUnwritable(name: string): void {
  if (READ_ONLY_ATTRIBUTES.includes(name)) throw readOnly(name);
  if (isReserved(name)) throw new HttpError(403, `Attribute '${name}' is reserved.`);
}

function readOnly(name: string): HttpError {
  return new HttpError(403, `Attribute '${name}' is read-only.`);
}

function locationsHidden(op: string): HttpError {
  return new HttpError(403, `It's not allowed to ${op} locations if locations are invisible.`);
}

function checkQuotas(document: Readonly<Document>, quotas: ApiSettings['quotas']): void {
  const tags = Array.isArray(document['tags']) ? new Set(document['tags']).size : 0;
  refuseOver('tags', tags, quotas.tags);
  refuseOver('properties', Object.keys(propertiesOf(document)).length, quotas.properties);
}

/** Throws 413 when there would be more of something than an image may have; a negative quota is none. */
export function refuseOver(what: string, attempted: number, quota: number): void {
  if (quota < 0 || attempted <= quota) return;
  throw new HttpError(
    413,
    `The limit has been exceeded on the number of allowed image ${what}. Attempted: ${attempted}, Maximum: ${quota}`,
  );
}

/** The properties in a document that callers may set: whatever is no attribute of every image. */
function propertiesOf(document: Readonly<Document>): Readonly<Record<string, string>> {
  const given = Object.entries(document).filter(([name]) => !BASE_ATTRIBUTES.includes(name) && !isReserved(name));
  for (const [name] of given) {
    if (name.length > 255)
      throw badRequest(`The name of the property ${name.slice(0, 40)}... has more than 255 characters`);
  }
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

function serviceProperties(image: ImageRecord): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(image.properties).filter(([name]) => isReserved(name)));
}

/** The fields in a document that was checked against the schema. */
function fieldsOf(document: Readonly<Document>): ImageChanges {
  const text = (name: string): string | null => (typeof document[name] === 'string' ? document[name] : null);
  const fields: [string, keyof ImageChanges, unknown][] = [
    ['name', 'name', text('name')],
    ['visibility', 'visibility', visibilityOf(document['visibility'])],
    ['protected', 'protected', document['protected'] === true],
    ['os_hidden', 'osHidden', document['os_hidden'] === true],
    ['owner', 'owner', text('owner')],
    ['container_format', 'containerFormat', text('container_format')],
    ['disk_format', 'diskFormat', text('disk_format')],
    ['min_ram', 'minRam', Number(document['min_ram'])],
    ['min_disk', 'minDisk', Number(document['min_disk'])],
    ['tags', 'tags', Array.isArray(document['tags']) ? document['tags'].map(String) : []],
  ];
  return Object.fromEntries(fields.filter(([name]) => name in document).map(([, field, value]) => [field, value]));
}

function visibilityOf(value: unknown): Visibility {
  return VISIBILITIES.find((visibility) => visibility === value) ?? 'shared';
}
