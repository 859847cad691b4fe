import { bitmapsAreConsistent } from '../bitmap-directory.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { bitmapDraft } from './bitmap-draft.ts';
import { currentBitmaps, emptyDisk, refuseInconsistent, replaceBitmapDirectory } from './bitmap-entry.ts';
import type { HeaderChange } from './header-switch.ts';
import type { Transaction } from './transaction.ts';

/**
 * Fits every bitmap to the new size of the disk; what is new has no bits. Outdated bitmaps are left alone. Throws
 * `unsupported` for an empty disk and for bitmaps that are marked as in use, as QEMU does.
 */
export async function resizeBitmaps(
  change: Transaction,
  virtualSize: number,
): Promise<Pick<HeaderChange, 'extensions'>> {
  const { bitmaps, header } = change.image.metadata;
  if (!bitmapsAreConsistent(header) || bitmaps.length === 0 || virtualSize === header.virtualSize) return {};
  if (virtualSize === 0) throw emptyDisk();
  for (const bitmap of bitmaps) refuseInconsistent(bitmap);
  const current = await currentBitmaps(change.image);
  const resized: BitmapInfo[] = [];
  for (const bitmap of current) {
    const draft = await bitmapDraft(change, bitmap, virtualSize);
    await draft.clearFrom(Math.min(header.virtualSize, virtualSize));
    resized.push(await draft.finish());
  }
  if (resized.every((bitmap, index) => bitmap === current[index])) return {};
  const { extensions } = await replaceBitmapDirectory(change, resized);
  return extensions === undefined ? {} : { extensions };
}
