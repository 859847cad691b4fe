import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../auth/caller.ts';
import type { ImageRecord } from '../catalog/image.ts';
import type { MemberRecord } from '../catalog/member.ts';
import { MEMBER_STATUSES } from '../catalog/member.ts';
import type { ApiParts } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { demand, paramOf, policyTarget, visibleImage } from './image-access.ts';
import { timeText } from './image-document.ts';
import { objectBody } from './json-body.ts';

/** `/v2/images/{id}/members`: the projects that an image is shared with. */
export function memberRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { members } = parts.catalog;
  const all = '/v2/images/:imageId/members';
  const one = `${all}/:memberId`;
  app.get(all, { config: { summary: 'List the members of an image' } }, async (request) => {
    const image = await sharedImage(parts, request, 'get_members');
    const seen = (await members.list(image.id)).filter((each) => maySee(request.caller, image, each.member));
    return { members: seen.map(memberDocument), schema: '/v2/schemas/members' };
  });
  app.post(all, { config: { summary: 'Share an image with a project' } }, async (request) => {
    const image = await sharedImage(parts, request, 'add_member');
    refuseUnlessOwner(request.caller, image, 'add_member');
    const member = objectBody(request.body)['member'];
    if (typeof member !== 'string' || member === '')
      throw badRequest("The body must name the project: {'member': ...}");
    if (member.length > 255) throw badRequest('The id of a project has at most 255 characters');
    return memberDocument(await members.insert(image.id, member, parts.settings.quotas.members));
  });
  app.get(one, { config: { summary: 'Show a member of an image' } }, async (request) => {
    const { image, member } = await memberOf(parts, request, 'get_member');
    return memberDocument(await members.get(image.id, member));
  });
  app.put(one, { config: { summary: 'Answer to the sharing of an image' } }, async (request) => {
    const { image, member } = await memberOf(parts, request, 'modify_member');
    const status = MEMBER_STATUSES.find((known) => known === objectBody(request.body)['status']);
    if (status === undefined) throw badRequest(`The status of a member is one of ${MEMBER_STATUSES.join(', ')}`);
    if (!request.caller.isAdmin && request.caller.projectId !== member) {
      throw new HttpError(403, 'Only the member itself answers to a sharing.');
    }
    return memberDocument(await members.setStatus(image.id, member, status));
  });
  app.delete(one, { config: { summary: 'No longer share an image with a project' } }, async (request, reply) => {
    const { image, member } = await memberOf(parts, request, 'delete_member');
    refuseUnlessOwner(request.caller, image, 'delete_member');
    await members.remove(image.id, member);
    return reply.code(204).send();
  });
}

async function sharedImage(parts: ApiParts, request: FastifyRequest, rule: string): Promise<ImageRecord> {
  const image = await visibleImage(parts, request.caller, paramOf(request.params, 'imageId'));
  const memberId = paramOf(request.params, 'memberId');
  const asMember = request.caller.projectId;
  demand(parts, rule, request.caller, { ...policyTarget(image), member_id: memberId === '' ? asMember : memberId });
  if (image.visibility === 'shared') return image;
  throw new HttpError(403, 'Only shared images have members.');
}

async function memberOf(
  parts: ApiParts,
  request: FastifyRequest,
  rule: string,
): Promise<{ readonly image: ImageRecord; readonly member: string }> {
  const image = await sharedImage(parts, request, rule);
  const member = paramOf(request.params, 'memberId');
  if (maySee(request.caller, image, member)) return { image, member };
  throw new HttpError(404, `Image ${image.id} is not shared with ${member}`);
}

/** Owners see all members, members only themselves. */
function maySee(caller: Caller, image: ImageRecord, member: string): boolean {
  return caller.isAdmin || image.owner === caller.projectId || member === caller.projectId;
}

function refuseUnlessOwner(caller: Caller, image: ImageRecord, rule: string): void {
  if (caller.isAdmin || image.owner === caller.projectId) return;
  throw new HttpError(403, `You are not authorized to complete ${rule} action.`);
}

function memberDocument(member: MemberRecord): Readonly<Record<string, string>> {
  return {
    member_id: member.member,
    image_id: member.imageId,
    status: member.status,
    created_at: timeText(member.createdAt),
    updated_at: timeText(member.updatedAt),
    schema: '/v2/schemas/member',
  };
}
