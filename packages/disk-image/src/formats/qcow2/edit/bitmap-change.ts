import type { WritableImageFile } from '../../../image/editor.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { replaceBitmapDirectory } from './bitmap-entry.ts';
import { openForChange } from './edited-image.ts';
import { repairDirty } from './repair.ts';
import { trackedFile } from './tracked-file.ts';
import type { Transaction } from './transaction.ts';
import { transaction } from './transaction.ts';

/** A change of an image that can have bitmaps. Throws `unsupported` for version 2, and as `openForChange` does. */
export async function openBitmaps(file: WritableImageFile): Promise<Transaction> {
  const image = await openForChange(trackedFile(file), { externalData: 'allowed', repair: repairDirty });
  if (image.metadata.header.version !== 2) return transaction(image);
  throw qcow2Error('unsupported', 'Version 2 has no persistent bitmaps; amend the image to compat=1.1', {
    structure: 'header',
    offset: 4,
  });
}

/** Ends the change: from the switch on these are the bitmaps of the image. */
export async function commitBitmaps(change: Transaction, bitmaps: readonly BitmapInfo[]): Promise<void> {
  const { extensions, autoclearFeatures } = await replaceBitmapDirectory(change, bitmaps);
  await change.commit({ ...(extensions === undefined ? {} : { extensions }), fields: { autoclearFeatures } });
}
