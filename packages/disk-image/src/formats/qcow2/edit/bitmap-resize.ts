import type { BitmapInfo } from '../bitmap-directory.ts';
import { AUTOCLEAR } from '../header.ts';
import {
  bitmapTableSize,
  currentBitmaps,
  emptyDisk,
  freeBitmapData,
  readBitmapTable,
  replaceBitmapDirectory,
  writeBitmapTable,
} from './bitmap-entry.ts';
import type { HeaderChange } from './header-switch.ts';
import type { Transaction } from './transaction.ts';

/** Fits every bitmap to the new size of the disk; what is new has no bits. Outdated bitmaps are left alone. */
export async function resizeBitmaps(
  change: Transaction,
  virtualSize: number,
): Promise<Pick<HeaderChange, 'extensions'>> {
  const { bitmaps, header, geometry } = change.image.metadata;
  const isCurrent = (header.autoclearFeatures & AUTOCLEAR.bitmaps) !== 0n;
  const sizeOf = (bitmap: BitmapInfo): number => bitmapTableSize(virtualSize, bitmap.granularity, geometry.clusterSize);
  if (isCurrent && bitmaps.length > 0 && virtualSize === 0) throw emptyDisk();
  if (!isCurrent || bitmaps.every((bitmap) => sizeOf(bitmap) === bitmap.tableSize)) return {};
  await currentBitmaps(change.image);
  const resized: BitmapInfo[] = [];
  for (const bitmap of bitmaps) {
    const tableSize = sizeOf(bitmap);
    const old = await readBitmapTable(change.image, bitmap);
    await freeBitmapData(change, old, tableSize);
    await change.change(bitmap.tableOffset, bitmap.tableSize * 8, -1);
    const words = new Uint32Array(tableSize * 2);
    words.set(old.subarray(0, words.length));
    resized.push({ ...bitmap, tableSize, tableOffset: await writeBitmapTable(change, words) });
  }
  const { extensions } = await replaceBitmapDirectory(change, resized);
  return extensions === undefined ? {} : { extensions };
}
