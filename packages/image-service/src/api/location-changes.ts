import type { ImageChanges, ImageLocation, ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { AddressedPlace, FoundPlace } from '../import/image-places.ts';
import { badRequest, HttpError } from './http-error.ts';
import type { PatchOperation } from './json-patch.ts';
import type { LocationBody } from './location-body.ts';
import { locationBody } from './location-body.ts';

/** True of an operation on the places of an image. */
export function isLocationOperation({ path }: PatchOperation): boolean {
  return path[0] === 'locations';
}

/** One place as it is after the operations: one that the image has, or one that still has to be looked at. */
export type PlannedPlace =
  | { readonly kept: ImageLocation; readonly url: string }
  | { readonly added: LocationBody; readonly url: string };

/** What operations make of the places of an image. Throws 400, 403, 409. */
export function plannedPlaces(
  image: ImageRecord,
  places: readonly AddressedPlace[],
  operations: readonly PatchOperation[],
): readonly PlannedPlace[] {
  refuseUnlessChangeable(image);
  let planned: readonly PlannedPlace[] = places.map(({ place, url }) => ({ kept: place, url }));
  for (const operation of operations) planned = applied(image, planned, operation);
  return planned;
}

function refuseUnlessChangeable({ status, properties }: ImageRecord): void {
  if (status !== 'queued' && status !== 'active') {
    throw new HttpError(409, `The locations of an image that is ${status} cannot be changed.`);
  }
  if (IMPORT_TASK_PROPERTY in properties) throw new HttpError(409, 'A task is at work on the image.');
}

function applied(
  image: ImageRecord,
  planned: readonly PlannedPlace[],
  { op, path, value }: PatchOperation,
): readonly PlannedPlace[] {
  const [, position, ...deeper] = path;
  if (deeper.length > 0) throw badRequest(`Invalid JSON pointer for this resource: '/${path.join('/')}'`);
  if (op === 'replace') {
    if (position !== undefined) throw badRequest('Locations are replaced all together: the path is /locations');
    return replaced(image, planned, value);
  }
  if (position === undefined) throw badRequest('The path of the operation must name a position: /locations/-');
  if (op === 'remove') return removed(image, planned, position);
  const body = bodyFor(image, value);
  if (planned.some(({ url }) => url === body.url)) throw badRequest(`The image has the location ${body.url} already`);
  return planned.toSpliced(positionIn(position, planned.length), 0, { added: body, url: body.url });
}

function bodyFor(image: ImageRecord, value: unknown): LocationBody {
  const body = locationBody(value);
  if (body.validation === undefined || image.status === 'queued') return body;
  throw new HttpError(409, 'validation_data may only be given while the image is queued.');
}

function replaced(image: ImageRecord, planned: readonly PlannedPlace[], value: unknown): readonly PlannedPlace[] {
  if (!Array.isArray(value)) throw badRequest('Locations are replaced by a list of locations');
  if (value.length === 0 && planned.length > 0) throw new HttpError(403, 'Cannot set locations to empty list.');
  const bodies = value.map((each) => bodyFor(image, each));
  const twice = bodies.find(({ url }, index) => bodies.findIndex((other) => other.url === url) !== index);
  if (twice !== undefined) throw badRequest(`The location ${twice.url} is there twice`);
  return bodies.map((body) => {
    const before = planned.find(({ url }) => url === body.url);
    if (before === undefined || 'added' in before) return { added: body, url: body.url };
    return { kept: renoted(before.kept, body), url: body.url };
  });
}

/** The same place with what the caller now notes about it. */
function renoted({ metadata: _before, ...place }: ImageLocation, { metadata }: LocationBody): ImageLocation {
  const { store: _store, ...noted } = metadata;
  return Object.keys(noted).length === 0 ? place : { ...place, metadata: noted };
}

function removed(image: ImageRecord, planned: readonly PlannedPlace[], position: string): readonly PlannedPlace[] {
  if (image.status !== 'active') {
    throw new HttpError(409, `No location can be removed from an image that is ${image.status}.`);
  }
  if (position === '-') throw badRequest('The operation must say which location to remove');
  const index = positionIn(position, planned.length - 1);
  if (planned.length === 1) throw new HttpError(403, 'The last location of an image cannot be removed.');
  return planned.toSpliced(index, 1);
}

function positionIn(position: string, last: number): number {
  if (position === '-') return last;
  if (/^\d{1,6}$/.test(position) && Number(position) <= last) return Number(position);
  throw badRequest(`There is no position ${position} among the locations`);
}

/** The places that the image gives up. */
export function droppedPlaces(
  places: readonly AddressedPlace[],
  planned: readonly PlannedPlace[],
): readonly AddressedPlace[] {
  return places.filter(({ url }) => planned.every((each) => each.url !== url));
}

/** What the plan changes in the image's record; `found` has what was found at each added URL. Throws 400, 409. */
export function placeChanges(
  image: ImageRecord,
  planned: readonly PlannedPlace[],
  found: ReadonlyMap<string, FoundPlace>,
): ImageChanges {
  const locations = planned.map((each) => ('kept' in each ? each.kept : foundAt(found, each.url).place));
  if (image.status !== 'queued' || locations.length === 0) return { locations };
  const added = planned.flatMap((each) => ('added' in each ? [each.added] : []));
  const [first = { url: '', metadata: {} }] = added;
  const { sizeBytes, virtualSize } = foundAt(found, first.url);
  if (added.some(({ url }) => foundAt(found, url).sizeBytes !== sizeBytes)) {
    throw badRequest('The locations hold different numbers of bytes');
  }
  const validation = added.find((body) => body.validation !== undefined)?.validation;
  return {
    locations,
    status: 'active',
    size: sizeBytes,
    virtualSize,
    ...(validation === undefined
      ? {}
      : { osHashAlgo: 'sha512', osHashValue: validation.osHashValue, checksum: validation.checksum ?? null }),
  };
}

function foundAt(found: ReadonlyMap<string, FoundPlace>, url: string): FoundPlace {
  const place = found.get(url);
  if (place === undefined) throw new HttpError(409, 'The locations were changed by somebody else in the meantime.');
  return place;
}
