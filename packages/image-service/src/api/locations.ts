import type { FastifyInstance } from 'fastify';
import type { Caller } from '../auth/caller.ts';
import type { ImageRecord } from '../catalog/image.ts';
import type { FoundPlace } from '../import/image-places.ts';
import type { ApiParts, Asker } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { demand, imageFor, paramOf, policyTarget, visibleImage } from './image-access.ts';
import type { DocumentRules } from './image-changes.ts';
import { changesOf, refuseOver } from './image-changes.ts';
import { askerOf } from './import.ts';
import type { PatchOperation } from './json-patch.ts';
import { locationBody } from './location-body.ts';
import { droppedPlaces, isLocationOperation, placeChanges, plannedPlaces } from './location-changes.ts';
import { placeDocument } from './shown-image.ts';

/** `/v2/images/{id}/locations` and `/v2/stores/{store}/{id}`: where the data of images lies. */
export function locationRoutes(app: FastifyInstance, parts: ApiParts): void {
  const url = '/v2/images/:imageId/locations';
  app.get(url, { config: { summary: 'List the locations of an image' } }, async (request) => {
    const image = await imageFor(parts, 'fetch_image_location', request);
    return (await parts.places.addressed(image)).map(placeDocument);
  });
  app.post(url, { config: { summary: 'Give an image the data at a location' } }, async (request, reply) => {
    const image = await imageFor(parts, 'add_image_location', request);
    const { validation, ...wanted } = locationBody(request.body);
    refuseOver('locations', image.locations.length + 1, parts.settings.quotas.locations);
    const found = await parts.places.add({ image, wanted, claimed: validation, asker: askerOf(request) });
    return reply.code(202).send({
      ...placeDocument({ place: found.place, url: wanted.url }),
      ...(validation === undefined
        ? {}
        : { validation_data: { os_hash_algo: 'sha512', os_hash_value: validation.osHashValue } }),
    });
  });
  app.delete(
    '/v2/stores/:storeId/:imageId',
    { config: { summary: 'Take an image out of a store' } },
    async (request, reply) => {
      const storeId = paramOf(request.params, 'storeId');
      const image = await visibleImage(parts, request.caller, paramOf(request.params, 'imageId'));
      demand(parts, 'delete_image_location', request.caller, policyTarget(image));
      if (!parts.stores.has(storeId)) throw new HttpError(404, `There is no store ${storeId}`);
      await parts.places.removeFrom(image.id, storeId);
      return reply.code(204).send();
    },
  );
}

/** A change of an image and of its places. */
export interface PlacePatch {
  readonly image: ImageRecord;
  readonly operations: readonly PatchOperation[];
  readonly rules: DocumentRules;
  readonly caller: Caller;
  readonly asker: Asker;
  /** Throws for what else the caller may not change. */
  readonly refuse: (current: ImageRecord, changes: ReturnType<typeof changesOf>) => void;
}

/** Makes a change of which some operations are about places. Throws 400, 403, 409, 413, 503. */
export async function patchPlaces(parts: ApiParts, patch: PlacePatch): Promise<ImageRecord> {
  const { image, caller, rules, refuse } = patch;
  const ofPlaces = patch.operations.filter(isLocationOperation);
  const others = patch.operations.filter((operation) => !isLocationOperation(operation));
  const [first] = ofPlaces;
  if (!parts.settings.showsPlaces.locations) {
    throw new HttpError(403, `It's not allowed to ${first?.op} locations if locations are invisible.`);
  }
  demandForPlaces(parts, caller, { image, operations: ofPlaces });
  const places = await parts.places.addressed(image);
  const planned = plannedPlaces(image, places, ofPlaces);
  if (droppedPlaces(places, planned).length > 0) demand(parts, 'delete_image_location', caller, policyTarget(image));
  refuseOver('locations', planned.length, parts.settings.quotas.locations);
  const found = new Map<string, FoundPlace>();
  for (const each of planned) {
    if ('added' in each) found.set(each.url, await parts.places.find(image, each.added));
  }
  if (found.size > 0 && parts.places.verifies(image)) {
    if (others.length > 0) throw badRequest('Locations whose data has to be read first come by calls of their own');
    const { locations = [] } = placeChanges(image, planned, found);
    return parts.places.changeVerified({ image, locations, added: found, asker: patch.asker });
  }
  return parts.places.change(image.id, (current) => {
    // What was planned holds for the places that were there; the rest of the change fits whatever is there now.
    if (JSON.stringify(current.locations) !== JSON.stringify(image.locations) || current.status !== image.status) {
      throw new HttpError(409, 'The image was changed by somebody else in the meantime.');
    }
    demand(parts, 'modify_image', caller, policyTarget(current));
    const changes = changesOf(current, others, rules);
    refuse(current, changes);
    return { ...changes, ...placeChanges(current, planned, found) };
  });
}

interface PlaceOperations {
  readonly image: ImageRecord;
  readonly operations: readonly PatchOperation[];
}

function demandForPlaces(parts: ApiParts, caller: Caller, { image, operations }: PlaceOperations): void {
  const rules = operations.map(({ op }) => (op === 'remove' ? 'delete_image_location' : 'set_image_location'));
  for (const rule of new Set(rules)) demand(parts, rule, caller, policyTarget(image));
}
