import type { WritableImageFile } from '../../../image/editor.ts';
import type { ImageReference } from '../../../image/reference.ts';
import { AUTOCLEAR } from '../header.ts';
import { BACKING_FORMAT } from '../header-extension.ts';
import { MAX_FORMAT_NAME_LENGTH } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { openForChange } from './edited-image.ts';
import type { EditedImage } from './edited-image.ts';
import type { ExtensionDraft, HeaderChange } from './header-switch.ts';
import { switchHeader } from './header-switch.ts';
import { repairDirty } from './repair.ts';

/**
 * Names another backing image and its format, or none. Throws `out_of_bounds` for names that are too long and
 * `unsupported` for an image whose external data file is raw by itself.
 */
export async function changeQcow2Backing(file: WritableImageFile, backing: ImageReference | undefined): Promise<void> {
  const image = await openForChange(file, { externalData: 'allowed', repair: repairDirty });
  await switchHeader(image, { fields: {}, ...backingChange(image, backing) });
}

/** What the header must say about the backing image. */
export function backingChange(
  image: EditedImage,
  backing: ImageReference | undefined,
): Required<Pick<HeaderChange, 'extensions' | 'backingFile'>> {
  const { extensions, header } = image.metadata;
  const others: readonly ExtensionDraft[] = extensions.all.filter((extension) => extension.type !== BACKING_FORMAT);
  if (backing === undefined || backing.name === '') return { extensions: others, backingFile: null };
  if ((header.autoclearFeatures & AUTOCLEAR.rawExternalData) !== 0n) {
    throw qcow2Error('unsupported', 'An image whose external data file is raw by itself cannot have a backing image', {
      structure: 'header',
      offset: 88,
    });
  }
  if (backing.format === undefined) return { extensions: others, backingFile: backing.name };
  const data = new TextEncoder().encode(backing.format);
  if (data.length > MAX_FORMAT_NAME_LENGTH) {
    throw qcow2Error(
      'out_of_bounds',
      `The format name has ${data.length} bytes; ${MAX_FORMAT_NAME_LENGTH} is the most`,
      {
        structure: 'header extensions',
      },
    );
  }
  return { extensions: [{ type: BACKING_FORMAT, data }, ...others], backingFile: backing.name };
}
