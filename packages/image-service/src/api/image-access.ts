import type { Caller, PolicyTarget } from '../auth/caller.ts';
import { knowsOfImage } from '../auth/visibility.ts';
import { CatalogError } from '../catalog/errors.ts';
import type { ImageRecord } from '../catalog/image.ts';
import type { ImageViewer } from '../catalog/image-query.ts';
import type { ApiParts } from './api-parts.ts';
import { HttpError } from './http-error.ts';

/** With whose eyes the catalogue is looked at for this caller. */
export function viewerOf(caller: Caller): ImageViewer {
  return { projectId: caller.projectId, sees: caller.isAdmin ? 'all' : 'own' };
}

/** The image, if the caller may know of it. Throws 404. */
export async function visibleImage(parts: ApiParts, caller: Caller, id: string): Promise<ImageRecord> {
  const { images } = parts.catalog;
  const image = await images.get(id).catch((error: unknown) => {
    if (error instanceof CatalogError && error.code === 'not_found') return undefined;
    throw error;
  });
  if (image === undefined || image.status === 'deleted') throw noImage(id);
  const { owner, visibility } = image;
  const sharedWithCaller = await isMember(parts, caller, id);
  if (knowsOfImage(caller, { owner, visibility, sharedWithCaller })) return image;
  throw noImage(id);
}

/** Is the image shared with the caller's project, whatever it answered? */
async function isMember({ catalog }: ApiParts, caller: Caller, imageId: string): Promise<boolean> {
  const { projectId } = caller;
  if (projectId === null || caller.isAdmin) return false;
  return catalog.members.get(imageId, projectId).then(
    () => true,
    (error: unknown) => {
      if (error instanceof CatalogError && error.code === 'not_found') return false;
      throw error;
    },
  );
}

/** The answer for an image that is not there, or not for this caller. */
export function noImage(id: string): HttpError {
  return new HttpError(404, `No image found with ID ${id.slice(0, 100)}`);
}

/** What rules are told of an image. */
export function policyTarget(image: ImageRecord): PolicyTarget {
  return { image_id: image.id, project_id: image.owner, owner: image.owner, visibility: image.visibility };
}

/** Throws 403 unless the rule lets the caller do it to the target. */
export function demand(parts: ApiParts, rule: string, caller: Caller, target: PolicyTarget): void {
  if (parts.policy.allows(rule, caller, target)) return;
  throw new HttpError(403, `You are not authorized to complete ${rule} action.`);
}

/** An image that the caller may know of and may do this to. Throws 404, 403. */
export async function imageFor(
  parts: ApiParts,
  rule: string,
  call: { readonly caller: Caller; readonly params: unknown },
): Promise<ImageRecord> {
  const image = await visibleImage(parts, call.caller, paramOf(call.params, 'imageId'));
  demand(parts, rule, call.caller, policyTarget(image));
  return image;
}

/** A part of the URL by its name; empty when it is not there. */
export function paramOf(params: unknown, name: string): string {
  if (typeof params !== 'object' || params === null) return '';
  const value: unknown = Object.entries(params).find(([key]) => key === name)?.[1];
  return typeof value === 'string' ? value : '';
}
