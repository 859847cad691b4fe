import type { ImageReference } from '@diskmorph/disk-image';

const NAMES: Readonly<Record<ImageReference['kind'], string>> = {
  backing: 'backing file',
  'data-file': 'data file',
  extent: 'extent',
  parent: 'parent',
};

/** What kind of file an image names, in words. */
export function referenceName(kind: ImageReference['kind']): string {
  return NAMES[kind];
}
