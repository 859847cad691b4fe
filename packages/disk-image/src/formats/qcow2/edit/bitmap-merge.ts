import type { ByteSource } from '../../../bytes/byte-source.ts';
import { alignUp } from '../../../bytes/numbers.ts';
import type { BitmapOrigin, WritableImageFile } from '../../../image/editor.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { faultError } from '../fault.ts';
import { MAX_BITMAPS } from '../limits.ts';
import { readMetadata } from '../metadata.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { commitBitmaps, openBitmaps } from './bitmap-change.ts';
import { forEachRun } from './bitmap-bits.ts';
import { bitmapDraft, newBitmapDraft } from './bitmap-draft.ts';
import type { BitmapImage } from './bitmap-entry.ts';
import { checkGranularity, currentBitmaps, findBitmap, refuseInconsistent } from './bitmap-entry.ts';

/** QEMU counts disks in sectors. */
const SECTOR_SIZE = 512;

/**
 * Adds the bits of `from`, of this file or of another one, to bitmap `into`. A bit of the one sets every bit of the
 * other that stands for some of its bytes. Throws `out_of_bounds` for unknown names and for disks of different sizes,
 * `unsupported` for bitmaps that are marked as in use.
 */
export async function mergeBitmap(file: WritableImageFile, into: string, from: BitmapOrigin): Promise<void> {
  const change = await openBitmaps(file);
  const bitmaps = await currentBitmaps(change.image);
  const target = findBitmap(bitmaps, into);
  const origin = from.source === undefined ? change.image : await openOrigin(from.source);
  const source = findBitmap(await currentBitmaps(origin), from.name);
  refuseInconsistent(target);
  refuseInconsistent(source);
  refuseOtherSize(change.image, origin);
  if (source === target) return;
  const draft = await bitmapDraft(change, target, change.image.metadata.header.virtualSize);
  await forEachRun(origin, source, (offset, length) => draft.mark(offset, length));
  const merged = await draft.finish();
  if (merged === target) return;
  await commitBitmaps(
    change,
    bitmaps.map((bitmap) => (bitmap === target ? merged : bitmap)),
  );
}

/**
 * Adds copies of bitmaps of another image, in the order of `names`, by one switch. Throws `out_of_bounds` for names that
 * the other image does not have or this one has already, for disks of different sizes, granularities that QEMU does not
 * know, and too many bitmaps,
 * `unsupported` for bitmaps that are marked as in use.
 */
export async function copyBitmaps(
  file: WritableImageFile,
  source: ByteSource,
  names: readonly string[],
): Promise<void> {
  const change = await openBitmaps(file);
  const bitmaps = await currentBitmaps(change.image);
  const origin = await openOrigin(source);
  refuseOtherSize(change.image, origin);
  if (bitmaps.length + names.length > MAX_BITMAPS) throw refused(`An image has at most ${MAX_BITMAPS} bitmaps`);
  const originals = await currentBitmaps(origin);
  const copies: BitmapInfo[] = [];
  for (const name of names) {
    const original = findBitmap(originals, name);
    refuseInconsistent(original);
    checkGranularity(original.granularity);
    if ([...bitmaps, ...copies].some((bitmap) => bitmap.name === name)) {
      throw refused(`There is a bitmap ${JSON.stringify(name)} already`);
    }
    const draft = newBitmapDraft(change, original);
    await forEachRun(origin, original, (offset, length) => draft.mark(offset, length));
    copies.push(await draft.finish());
  }
  if (copies.length > 0) await commitBitmaps(change, [...bitmaps, ...copies]);
}

async function openOrigin(source: ByteSource): Promise<BitmapImage> {
  const metadata = await readMetadata(source);
  const fault = metadata.faults.find((candidate) => candidate.code !== 'encrypted');
  if (fault !== undefined) throw faultError(fault);
  return { file: { source }, metadata };
}

function refuseOtherSize(image: BitmapImage, origin: BitmapImage): void {
  const own = image.metadata.header.virtualSize;
  const other = origin.metadata.header.virtualSize;
  if (alignUp(own, SECTOR_SIZE) === alignUp(other, SECTOR_SIZE)) return;
  throw refused(`The disks have ${own} and ${other} bytes; bitmaps go with disks of one size`);
}

function refused(message: string): Error {
  return qcow2Error('out_of_bounds', message, { structure: 'bitmap directory' });
}
