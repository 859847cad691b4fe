import type { ImageRecord } from './image.ts';
import type { ImageViewer } from './image-query.ts';

/**
 * May the viewer see this image, whose id they know? `isMember`: it is shared with the viewer's project, whatever that
 * project has answered. The same rule as that of lists, but for community images, which lists leave out unasked.
 */
export function isVisible(image: ImageRecord, viewer: ImageViewer, isMember: boolean): boolean {
  if (viewer.sees === 'all' || image.visibility === 'public' || image.visibility === 'community') return true;
  if (viewer.projectId === null) return false;
  return image.owner === viewer.projectId || (image.visibility === 'shared' && isMember);
}
