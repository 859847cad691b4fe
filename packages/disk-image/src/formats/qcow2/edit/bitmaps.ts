import type { BitmapEditor, BitmapRequest, WritableImageFile } from '../../../image/editor.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { MAX_BITMAP_NAME_LENGTH, MAX_BITMAPS } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { commitBitmaps, openBitmaps } from './bitmap-change.ts';
import { newBitmapDraft } from './bitmap-draft.ts';
import {
  checkGranularity,
  currentBitmaps,
  emptyDisk,
  findBitmap,
  freeBitmapData,
  readBitmapTable,
  refuseInconsistent,
  writeBitmapTable,
} from './bitmap-entry.ts';
import { copyBitmaps, mergeBitmap } from './bitmap-merge.ts';
import type { Transaction } from './transaction.ts';

/** Without a granularity a bit stands for one cluster, within these bounds, as QEMU chooses. */
const MIN_DEFAULT_GRANULARITY = 4096;
const MAX_DEFAULT_GRANULARITY = 65536;

/** Changes persistent bitmaps; each change is one switch of the header. qcow2 specification, "Bitmaps". */
export const qcow2Bitmaps: BitmapEditor = {
  add: addBitmap,
  remove: (file, name) => changeBitmap(file, name, dropBitmap),
  clear: (file, name) => changeBitmap(file, name, clearBitmap),
  enable: (file, name) => changeBitmap(file, name, async (_change, bitmap) => ({ ...bitmap, auto: true })),
  disable: (file, name) => changeBitmap(file, name, async (_change, bitmap) => ({ ...bitmap, auto: false })),
  merge: mergeBitmap,
  copy: copyBitmaps,
};

async function addBitmap(file: WritableImageFile, request: BitmapRequest): Promise<void> {
  const change = await openBitmaps(file);
  const { header, geometry } = change.image.metadata;
  const bitmaps = await currentBitmaps(change.image);
  if (header.virtualSize === 0) throw emptyDisk();
  const granularity = request.granularity ?? defaultGranularity(geometry.clusterSize);
  checkGranularity(granularity);
  const nameLength = new TextEncoder().encode(request.name).length;
  if (nameLength === 0 || nameLength > MAX_BITMAP_NAME_LENGTH) {
    throw refused(`A bitmap name has 1 to ${MAX_BITMAP_NAME_LENGTH} bytes, and this one ${nameLength}`);
  }
  if (bitmaps.some((bitmap) => bitmap.name === request.name))
    throw refused(`There is a bitmap ${quoted(request.name)} already`);
  if (bitmaps.length >= MAX_BITMAPS) throw refused(`An image has at most ${MAX_BITMAPS} bitmaps`);
  const draft = newBitmapDraft(change, { name: request.name, granularity, auto: request.state === 'enabled' });
  await commitBitmaps(change, [...bitmaps, await draft.finish()]);
}

function defaultGranularity(clusterSize: number): number {
  return Math.min(Math.max(clusterSize, MIN_DEFAULT_GRANULARITY), MAX_DEFAULT_GRANULARITY);
}

type BitmapChange = (change: Transaction, bitmap: BitmapInfo) => Promise<BitmapInfo | undefined>;

async function changeBitmap(file: WritableImageFile, name: string, apply: BitmapChange): Promise<void> {
  const change = await openBitmaps(file);
  const bitmaps = await currentBitmaps(change.image);
  const wanted = findBitmap(bitmaps, name);
  if (apply !== dropBitmap) refuseInconsistent(wanted);
  const changed = await apply(change, wanted);
  const next = bitmaps.map((bitmap) => (bitmap === wanted ? changed : bitmap));
  await commitBitmaps(
    change,
    next.filter((bitmap) => bitmap !== undefined),
  );
}

async function dropBitmap(change: Transaction, bitmap: BitmapInfo): Promise<undefined> {
  await freeBitmapData(change, await readBitmapTable(change.image, bitmap));
  await change.change(bitmap.tableOffset, bitmap.tableSize * 8, -1);
  return undefined;
}

async function clearBitmap(change: Transaction, bitmap: BitmapInfo): Promise<BitmapInfo> {
  await dropBitmap(change, bitmap);
  return { ...bitmap, tableOffset: await writeBitmapTable(change, new Uint32Array(bitmap.tableSize * 2)) };
}

function quoted(name: string): string {
  return JSON.stringify(name);
}

function refused(message: string): Error {
  return qcow2Error('out_of_bounds', message, { structure: 'bitmap directory' });
}
