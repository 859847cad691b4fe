import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../auth/caller.ts';
import type { ImageChanges, ImageRecord, NewImage, Visibility } from '../catalog/image.ts';
import { changeImage } from '../catalog/repositories.ts';
import type { ApiParts } from './api-parts.ts';
import { HttpError } from './http-error.ts';
import { demand, imageFor, paramOf, policyTarget, visibleImage } from './image-access.ts';
import type { DocumentRules } from './image-changes.ts';
import { changesOf, newImageOf } from './image-changes.ts';
import { imageSchema } from './image-schema.ts';
import { askerOf } from './import.ts';
import { objectBody } from './json-body.ts';
import { parsePatch, PATCH_TYPES } from './json-patch.ts';
import { isLocationOperation } from './location-changes.ts';
import { patchPlaces } from './locations.ts';
import { schemaCheck } from './schema-check.ts';
import { shownImage } from './shown-image.ts';

/** `/v2/images` (POST) and `/v2/images/{id}`: images one by one. */
export function imageRoutes(app: FastifyInstance, parts: ApiParts): void {
  const rules = { check: schemaCheck(imageSchema(parts.settings)), quotas: parts.settings.quotas };
  app.post('/v2/images', { config: { summary: 'Register an image' } }, (request, reply) =>
    createImage(parts, rules, { request, reply }),
  );
  app.get('/v2/images/:imageId', { config: { summary: 'Show an image' } }, async (request) =>
    shownImage(parts, request.caller, await imageFor(parts, 'get_image', request)),
  );
  app.patch('/v2/images/:imageId', { config: { summary: 'Change an image' } }, (request) =>
    patchImage(parts, rules, request),
  );
  app.delete('/v2/images/:imageId', { config: { summary: 'Delete an image and its data' } }, async (request, reply) => {
    const image = await imageFor(parts, 'delete_image', request);
    if (image.protected) {
      throw new HttpError(403, `Image ${image.id} is protected and cannot be deleted.`);
    }
    await parts.removal.remove(image.id);
    return reply.code(204).send();
  });
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function createImage(parts: ApiParts, rules: DocumentRules, { request, reply }: Exchange): Promise<FastifyReply> {
  const { caller } = request;
  const described = newImageOf(objectBody(request.body ?? {}), randomUUID(), rules);
  const image = { ...described, owner: described.owner === undefined ? caller.projectId : described.owner };
  refuseForeignOwner(caller, image);
  demand(parts, 'add_image', caller, { project_id: image.owner, owner: image.owner, visibility: image.visibility });
  demandVisibility(parts, caller, { ...image, visibility: image.visibility ?? 'shared' });
  const created = await parts.catalog.images.insert(image);
  return reply
    .code(201)
    .header('location', `${baseUrl(parts, request)}/v2/images/${created.id}`)
    .header('openstack-image-import-methods', parts.settings.importMethods.join(','))
    .header('openstack-image-store-ids', [...parts.stores.keys()].join(','))
    .send(await shownImage(parts, caller, created));
}

/** Where the caller finds this service. */
export function baseUrl(parts: ApiParts, request: FastifyRequest): string {
  return (parts.settings.publicEndpoint ?? `${request.protocol}://${request.host}`).replace(/\/+$/, '');
}

function refuseForeignOwner(caller: Caller, image: NewImage): void {
  if (caller.isAdmin || image.owner === caller.projectId) return;
  throw new HttpError(403, `You are not permitted to create images owned by '${String(image.owner)}'.`);
}

/** Rules beyond those of every change: to show an image to everybody is for few. */
const VISIBILITY_RULES: Readonly<Partial<Record<Visibility, string>>> = {
  public: 'publicize_image',
  community: 'communitize_image',
};

function demandVisibility(
  parts: ApiParts,
  caller: Caller,
  image: { readonly owner?: string | null; readonly visibility: Visibility },
): void {
  const rule = VISIBILITY_RULES[image.visibility];
  if (rule !== undefined) demand(parts, rule, caller, { project_id: image.owner, owner: image.owner });
}

async function patchImage(parts: ApiParts, rules: DocumentRules, request: FastifyRequest): Promise<unknown> {
  const mediaType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (!PATCH_TYPES.includes(mediaType))
    throw new HttpError(415, `Changes must be of the type ${PATCH_TYPES.join(' or ')}`);
  const operations = parsePatch(request.body, mediaType);
  const { caller } = request;
  const image = await visibleImage(parts, caller, paramOf(request.params, 'imageId'));
  const refuse = (current: ImageRecord, changes: ImageChanges): void =>
    refuseChanges(parts, caller, { current, changes });
  if (operations.some(isLocationOperation)) {
    demand(parts, 'modify_image', caller, policyTarget(image));
    const moved = await patchPlaces(parts, { image, operations, rules, caller, asker: askerOf(request), refuse });
    return shownImage(parts, caller, moved);
  }
  // Somebody else's change in between is no reason to lose either: the operations are applied to what is there then.
  const changed = await changeImage(parts.catalog.images, image.id, (current) => {
    if (current.status === 'deleted') throw new HttpError(404, `No image found with ID ${current.id}`);
    demand(parts, 'modify_image', caller, policyTarget(current));
    const changes = changesOf(current, operations, rules);
    refuse(current, changes);
    return changes;
  });
  return shownImage(parts, caller, changed);
}

interface ProposedChange {
  readonly current: ImageRecord;
  readonly changes: ImageChanges;
}

function refuseChanges(parts: ApiParts, caller: Caller, { current, changes }: ProposedChange): void {
  if (changes.owner !== undefined && changes.owner !== current.owner && !caller.isAdmin) {
    throw new HttpError(403, 'Owner cannot be updated by non admin.');
  }
  if (changes.visibility !== undefined && changes.visibility !== current.visibility) {
    demandVisibility(parts, caller, { owner: current.owner, visibility: changes.visibility });
  }
}
