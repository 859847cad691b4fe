import type { ByteSource } from '../../../bytes/byte-source.ts';
import { readBytes } from '../../../bytes/byte-source.ts';
import { alignUp } from '../../../bytes/numbers.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { bitmapsAreConsistent } from '../bitmap-directory.ts';
import { AUTOCLEAR } from '../header.ts';
import { BITMAPS } from '../header-extension.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { TableWords } from '../table-words.ts';
import { readTableWords } from '../table-words.ts';
import { MAX_BITMAP_DIRECTORY_SIZE, MAX_BITMAP_TABLE_SIZE, MAX_GRANULARITY, MIN_GRANULARITY } from '../limits.ts';
import type { Metadata } from '../metadata.ts';
import { tableFault, faultError } from '../fault.ts';
import type { ExtensionDraft, HeaderChange } from './header-switch.ts';
import { encodeWords } from './mapping-change.ts';
import type { Transaction } from './transaction.ts';

const FIXED_LENGTH = 24;
const FLAG_IN_USE = 1;
const FLAG_AUTO = 2;
const TYPE_DIRTY_TRACKING = 1;
const EXTENSION_LENGTH = 24;

/** An image whose bitmaps are read. */
export interface BitmapImage {
  readonly file: { readonly source: ByteSource };
  readonly metadata: Metadata;
}

/** The bitmap table in memory: where the clusters of its bits lie. */
export async function readBitmapTable(image: BitmapImage, bitmap: BitmapInfo): Promise<TableWords> {
  const place = {
    structure: 'bitmap table',
    hostOffset: bitmap.tableOffset,
    sizeBytes: bitmap.tableSize * 8,
    maxSizeBytes: MAX_BITMAP_TABLE_SIZE,
    field: bitmap.tableOffset,
  };
  const fault = tableFault(place, image.metadata.geometry.clusterSize, image.file.source.size);
  if (fault !== undefined) throw faultError(fault);
  return readTableWords(image.file.source, place);
}

/** Byte offset of the data of table entry `index`; 0 for all zeros, 1 for all ones. */
export function bitmapDataOffset(words: TableWords, index: number): number {
  return (words[index * 2] ?? 0) * 2 ** 32 + (words[index * 2 + 1] ?? 0);
}

/** Frees the data of all entries. */
export async function freeBitmapData(change: Transaction, words: TableWords): Promise<void> {
  const { clusterSize } = change.image.metadata.geometry;
  for (let index = 0; index < words.length / 2; index++) {
    const offset = bitmapDataOffset(words, index);
    if (offset > 1) await change.change(offset, clusterSize, -1);
  }
}

/** Writes a bitmap table to a new place; 0 for an empty one. */
export async function writeBitmapTable(change: Transaction, words: TableWords): Promise<number> {
  const { clusterSize } = change.image.metadata.geometry;
  if (words.length === 0) return 0;
  const padded = new Uint32Array(alignUp(words.length * 4, clusterSize) / 4);
  padded.set(words);
  const offset = await change.allocate(padded.length * 4);
  await change.image.file.sink.write(offset, encodeWords(padded));
  return offset;
}

/** Entries (at least one, as QEMU asks) of the table of a bitmap over a disk of `virtualSize` bytes. qcow2 specification, "Bitmap table". */
export function bitmapTableSize(virtualSize: number, granularity: number, clusterSize: number): number {
  return Math.max(1, Math.ceil(Math.ceil(virtualSize / granularity) / (clusterSize * 8)));
}

/** The same for a table that is to be written. Throws `out_of_bounds` when it would be too large. */
export function newTableSize(virtualSize: number, granularity: number, clusterSize: number): number {
  const tableSize = bitmapTableSize(virtualSize, granularity, clusterSize);
  if (tableSize * 8 <= MAX_BITMAP_TABLE_SIZE) return tableSize;
  throw qcow2Error('out_of_bounds', 'The bitmap would be too large; choose a larger granularity', {
    structure: 'bitmap table',
  });
}

/**
 * Writes a directory of these bitmaps to a new place, frees the present one, and gives what the header must say: the
 * extension, none without bitmaps, and the autoclear bit that says they are up to date.
 */
export async function replaceBitmapDirectory(
  change: Transaction,
  bitmaps: readonly BitmapInfo[],
): Promise<Pick<HeaderChange, 'extensions'> & { readonly autoclearFeatures: bigint }> {
  const { extensions, header, geometry } = change.image.metadata;
  // An outdated directory may lie where something else is by now: it is left as a leak.
  const old = bitmapsAreConsistent(header) ? extensions.bitmaps : undefined;
  if (old !== undefined) await change.change(old.directoryOffset, old.directorySize, -1);
  const others: readonly ExtensionDraft[] = extensions.all.filter((extension) => extension.type !== BITMAPS);
  if (bitmaps.length === 0) {
    return { extensions: others, autoclearFeatures: header.autoclearFeatures & ~AUTOCLEAR.bitmaps };
  }
  const directory = encodeDirectory(bitmaps);
  if (directory.length > MAX_BITMAP_DIRECTORY_SIZE) {
    throw qcow2Error('out_of_bounds', `The bitmap directory would have more than ${MAX_BITMAP_DIRECTORY_SIZE} bytes`, {
      structure: 'bitmap directory',
    });
  }
  const padded = new Uint8Array(alignUp(directory.length, geometry.clusterSize));
  padded.set(directory);
  const offset = await change.allocate(padded.length);
  await change.image.file.sink.write(offset, padded);
  const data = new Uint8Array(EXTENSION_LENGTH);
  const view = new DataView(data.buffer);
  view.setUint32(0, bitmaps.length);
  view.setBigUint64(8, BigInt(directory.length));
  view.setBigUint64(16, BigInt(offset));
  return {
    extensions: [...others, { type: BITMAPS, data }],
    autoclearFeatures: header.autoclearFeatures | AUTOCLEAR.bitmaps,
  };
}

function encodeDirectory(bitmaps: readonly BitmapInfo[]): Uint8Array {
  const entries = bitmaps.map(encodeEntry);
  const directory = new Uint8Array(entries.reduce((sum, entry) => sum + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    directory.set(entry, at);
    at += entry.length;
  }
  return directory;
}

/** qcow2 specification, "Bitmap directory entry". Extra data is dropped: entries with it are refused before. */
function encodeEntry(bitmap: BitmapInfo): Uint8Array {
  const name = new TextEncoder().encode(bitmap.name);
  const entry = new Uint8Array(alignUp(FIXED_LENGTH + name.length, 8));
  const view = new DataView(entry.buffer);
  view.setBigUint64(0, BigInt(bitmap.tableOffset));
  view.setUint32(8, bitmap.tableSize);
  view.setUint32(12, (bitmap.inUse ? FLAG_IN_USE : 0) | (bitmap.auto ? FLAG_AUTO : 0));
  view.setUint8(16, TYPE_DIRTY_TRACKING);
  view.setUint8(17, Math.log2(bitmap.granularity));
  view.setUint16(18, name.length);
  entry.set(name, FIXED_LENGTH);
  return entry;
}

/**
 * The bitmaps of the image, none when they are outdated. Throws `unsupported` for entries of a type, with flags or with
 * extra data that are not known, which a new directory would lose.
 */
export async function currentBitmaps(image: BitmapImage): Promise<readonly BitmapInfo[]> {
  await refuseUnknownEntries(image);
  return image.metadata.bitmaps;
}

async function refuseUnknownEntries(image: BitmapImage): Promise<void> {
  const place = image.metadata.extensions.bitmaps;
  if (place === undefined || !bitmapsAreConsistent(image.metadata.header)) return;
  const directory = await readBytes(image.file.source, place.directoryOffset, place.directorySize);
  const view = new DataView(directory.buffer);
  for (let at = 0; at + FIXED_LENGTH <= directory.length;) {
    const known =
      (view.getUint32(at + 12) & ~(FLAG_IN_USE | FLAG_AUTO)) === 0 && view.getUint8(at + 16) === TYPE_DIRTY_TRACKING;
    if (!known || view.getUint32(at + 20) !== 0) throw unsupported('A bitmap is of a kind that is not known');
    at += alignUp(FIXED_LENGTH + view.getUint16(at + 18), 8);
  }
}

/** The bitmap of that name. Throws `out_of_bounds` when there is none. */
export function findBitmap(bitmaps: readonly BitmapInfo[], name: string): BitmapInfo {
  const found = bitmaps.find((bitmap) => bitmap.name === name);
  if (found !== undefined) return found;
  throw qcow2Error('out_of_bounds', `The image has no bitmap ${JSON.stringify(name)}`, {
    structure: 'bitmap directory',
  });
}

/** Throws `out_of_bounds` for what no bitmap of QEMU has. */
export function checkGranularity(granularity: number): void {
  const isPower = Number.isInteger(Math.log2(granularity));
  if (isPower && granularity >= MIN_GRANULARITY && granularity <= MAX_GRANULARITY) return;
  throw qcow2Error(
    'out_of_bounds',
    `A granularity of ${granularity} bytes is no power of two from ${MIN_GRANULARITY} to ${MAX_GRANULARITY}`,
    { structure: 'bitmap directory' },
  );
}

/** Throws `unsupported` for a bitmap that is marked as in use: what it says cannot be trusted. */
export function refuseInconsistent(bitmap: BitmapInfo): void {
  if (!bitmap.inUse) return;
  const name = JSON.stringify(bitmap.name);
  throw unsupported(`The bitmap ${name} was not saved correctly; it can only be removed`);
}

/** QEMU cannot open an empty disk with a bitmap: it wants a table of no entries, and allows none such. */
export function emptyDisk(): Error {
  return unsupported('An empty disk cannot have bitmaps; remove them first');
}

function unsupported(message: string): Error {
  return qcow2Error('unsupported', message, { structure: 'bitmap directory' });
}
