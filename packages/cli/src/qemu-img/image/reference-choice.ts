import type { ReferenceRules } from '@diskmorph/disk-image-node';
import { noReferences } from '@diskmorph/disk-image-node';

/** qemu-img's callers expect that backing files and extents are found, so any local file may be named, unless the environment denies. */
export function chosenReferences(): ReferenceRules {
  return process.env['DISKMORPH_REFERENCES'] === 'deny' ? noReferences : { directories: [], anyLocalFile: true };
}
