import type { Caller } from './caller.ts';

/** What decides who knows of an image. */
export interface ImageAudience {
  /** The project that it belongs to; null: nobody. */
  readonly owner: string | null;
  readonly visibility: 'public' | 'community' | 'shared' | 'private';
  /** It is shared with the caller's project, whatever that project said to it. */
  readonly sharedWithCaller: boolean;
}

/**
 * Whether the caller may know of an image at all. It is asked before any rule, for the default rules leave this to it:
 * an image that a caller may not know of is not there for them (404, not 403).
 */
export function knowsOfImage(caller: Caller, image: ImageAudience): boolean {
  if (caller.isAdmin || image.owner === null) return true;
  if (image.visibility === 'public' || image.visibility === 'community') return true;
  if (caller.projectId === null) return false;
  return caller.projectId === image.owner || (image.visibility === 'shared' && image.sharedWithCaller);
}
