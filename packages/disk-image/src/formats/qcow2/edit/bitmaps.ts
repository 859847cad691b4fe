import type { BitmapEditor, BitmapRequest, WritableImageFile } from '../../../image/editor.ts';
import { readBytes } from '../../../bytes/byte-source.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { MAX_BITMAP_NAME_LENGTH, MAX_BITMAP_TABLE_SIZE, MAX_BITMAPS } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import {
  bitmapDataOffset,
  bitmapTableSize,
  currentBitmaps,
  emptyDisk,
  freeBitmapData,
  readBitmapTable,
  replaceBitmapDirectory,
  writeBitmapTable,
} from './bitmap-entry.ts';
import { openForChange } from './edited-image.ts';
import { repairDirty } from './repair.ts';
import type { Transaction } from './transaction.ts';
import { transaction } from './transaction.ts';

/** Granularities that QEMU opens: 512 bytes to 2 GiB. */
const MIN_GRANULARITY = 512;
const MAX_GRANULARITY = 2 ** 31;
const DEFAULT_GRANULARITY = 65536;

/** Changes persistent bitmaps; each change is one switch of the header. qcow2 specification, "Bitmaps". */
export const qcow2Bitmaps: BitmapEditor = {
  add: addBitmap,
  remove: (file, name) => changeBitmap(file, name, dropBitmap),
  clear: (file, name) => changeBitmap(file, name, clearBitmap),
  enable: (file, name) => changeBitmap(file, name, async (_change, bitmap) => ({ ...bitmap, auto: true })),
  disable: (file, name) => changeBitmap(file, name, async (_change, bitmap) => ({ ...bitmap, auto: false })),
  merge: mergeBitmap,
};

async function addBitmap(file: WritableImageFile, request: BitmapRequest): Promise<void> {
  const change = await openBitmaps(file);
  const { header, geometry } = change.image.metadata;
  const bitmaps = await currentBitmaps(change.image);
  if (header.virtualSize === 0) throw emptyDisk();
  const granularity = request.granularity ?? DEFAULT_GRANULARITY;
  const isPower = Number.isInteger(Math.log2(granularity));
  if (!isPower || granularity < MIN_GRANULARITY || granularity > MAX_GRANULARITY) {
    throw refused(
      `A granularity of ${granularity} bytes is no power of two from ${MIN_GRANULARITY} to ${MAX_GRANULARITY}`,
    );
  }
  const nameLength = new TextEncoder().encode(request.name).length;
  if (nameLength === 0 || nameLength > MAX_BITMAP_NAME_LENGTH) {
    throw refused(`A bitmap name has 1 to ${MAX_BITMAP_NAME_LENGTH} bytes, and this one ${nameLength}`);
  }
  if (bitmaps.some((bitmap) => bitmap.name === request.name))
    throw refused(`There is a bitmap ${quoted(request.name)} already`);
  if (bitmaps.length >= MAX_BITMAPS) throw refused(`An image has at most ${MAX_BITMAPS} bitmaps`);
  const tableSize = bitmapTableSize(header.virtualSize, granularity, geometry.clusterSize);
  if (tableSize * 8 > MAX_BITMAP_TABLE_SIZE)
    throw refused('The bitmap would be too large; choose a larger granularity');
  const tableOffset = await writeBitmapTable(change, new Uint32Array(tableSize * 2));
  const added: BitmapInfo = {
    name: request.name,
    granularity,
    inUse: false,
    auto: request.state === 'enabled',
    tableOffset,
    tableSize,
  };
  await commitBitmaps(change, [...bitmaps, added]);
}

type BitmapChange = (change: Transaction, bitmap: BitmapInfo) => Promise<BitmapInfo | undefined>;

async function changeBitmap(file: WritableImageFile, name: string, apply: BitmapChange): Promise<void> {
  const change = await openBitmaps(file);
  const bitmaps = await currentBitmaps(change.image);
  const wanted = findBitmap(bitmaps, name);
  if (wanted.inUse && apply !== dropBitmap) {
    throw qcow2Error('unsupported', `The bitmap ${quoted(name)} was not saved correctly; it can only be removed`, {
      structure: 'bitmap directory',
    });
  }
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

async function mergeBitmap(file: WritableImageFile, into: string, from: string): Promise<void> {
  const change = await openBitmaps(file);
  const bitmaps = await currentBitmaps(change.image);
  const target = findBitmap(bitmaps, into);
  const source = findBitmap(bitmaps, from);
  const unusable = [target, source].find((bitmap) => bitmap.inUse);
  if (unusable !== undefined || target.granularity !== source.granularity) {
    const why = unusable === undefined ? 'have different granularities' : 'were not both saved correctly';
    throw qcow2Error('unsupported', `The bitmaps ${quoted(into)} and ${quoted(from)} ${why}; they cannot be merged`, {
      structure: 'bitmap directory',
    });
  }
  if (target === source) return;
  const words = await readBitmapTable(change.image, target);
  await mergeTable(change, words, await readBitmapTable(change.image, source));
  await change.change(target.tableOffset, target.tableSize * 8, -1);
  const merged = { ...target, tableOffset: await writeBitmapTable(change, words) };
  await commitBitmaps(
    change,
    bitmaps.map((bitmap) => (bitmap === target ? merged : bitmap)),
  );
}

const ALL_ONES = 1;

/** Adds the bits below `from` to those below `words`, in new clusters. */
async function mergeTable(change: Transaction, words: Uint32Array, from: Uint32Array): Promise<void> {
  const { clusterSize } = change.image.metadata.geometry;
  const { source, sink } = change.image.file;
  const read = (offset: number): Promise<Uint8Array> | Uint8Array =>
    offset > ALL_ONES
      ? readBytes(source, offset, clusterSize)
      : new Uint8Array(clusterSize).fill(offset === ALL_ONES ? 0xff : 0);
  for (let index = 0; index < words.length / 2; index++) {
    const offset = bitmapDataOffset(words, index);
    const other = bitmapDataOffset(from, index);
    if (other === 0 || offset === ALL_ONES) continue;
    const bits = await read(offset);
    const added = await read(other);
    for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] ?? 0) | (added[i] ?? 0);
    const place = await change.allocate(clusterSize);
    await sink.write(place, bits);
    if (offset > ALL_ONES) await change.change(offset, clusterSize, -1);
    words[index * 2] = Math.floor(place / 2 ** 32);
    words[index * 2 + 1] = place % 2 ** 32;
  }
}

async function openBitmaps(file: WritableImageFile): Promise<Transaction> {
  const image = await openForChange(file, { externalData: 'allowed', repair: repairDirty });
  if (image.metadata.header.version !== 2) return transaction(image);
  throw qcow2Error('unsupported', 'Version 2 has no persistent bitmaps; amend the image to compat=1.1', {
    structure: 'header',
    offset: 4,
  });
}

async function commitBitmaps(change: Transaction, bitmaps: readonly BitmapInfo[]): Promise<void> {
  const { extensions, autoclearFeatures } = await replaceBitmapDirectory(change, bitmaps);
  await change.commit({ ...(extensions === undefined ? {} : { extensions }), fields: { autoclearFeatures } });
}

function findBitmap(bitmaps: readonly BitmapInfo[], name: string): BitmapInfo {
  const found = bitmaps.find((bitmap) => bitmap.name === name);
  if (found !== undefined) return found;
  throw refused(`The image has no bitmap ${quoted(name)}`);
}

function quoted(name: string): string {
  return JSON.stringify(name);
}

function refused(message: string): Error {
  return qcow2Error('out_of_bounds', message, { structure: 'bitmap directory' });
}
