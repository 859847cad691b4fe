import type { ResizeRequest, WritableImageFile } from '../../../image/editor.ts';
import { denyReferences } from '../../../image/reference.ts';
import { neededL1Entries } from '../cluster-geometry.ts';
import { standardEntry } from '../l2-entry.ts';
import type { L1Table } from '../l1-table.ts';
import { rawL2TableOffset } from '../l1-table.ts';
import type { L2Table } from '../l2-table.ts';
import { readL2Table } from '../l2-table.ts';
import { MAX_L1_TABLE_SIZE } from '../limits.ts';
import { openQcow2 } from '../open.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EditedImage } from './edited-image.ts';
import { openForChange } from './edited-image.ts';
import type { EntrySpan } from './mapping-change.ts';
import { dropMapping, entrySpan, readActiveL1, replaceActiveL1, replaceL2Table } from './mapping-change.ts';
import { resizeBitmaps } from './bitmap-resize.ts';
import { repairDirty } from './repair.ts';
import type { Transaction } from './transaction.ts';
import { transaction } from './transaction.ts';

/** QEMU counts disks in sectors. */
const SECTOR_SIZE = 512;
const ALL_SUBCLUSTERS = 0xffffffff;
const ZERO_FLAG = 1;

/**
 * Sets the size of the disk. Growing: new bytes are zeros, also where a backing image is longer than the old disk.
 * Shrinking: clusters behind the new end are free. Throws `out_of_bounds` for sizes that are no multiple of 512, that
 * the L1 table cannot address, and for a smaller size that was not asked for; `unsupported` for version 2 with snapshots.
 */
export async function resizeQcow2(file: WritableImageFile, request: ResizeRequest): Promise<void> {
  const image = await openForChange(file, { externalData: 'refused', repair: repairDirty });
  checkRequest(image, request);
  const { virtualSize: oldSize, l1Size } = image.metadata.header;
  if (request.virtualSize === oldSize) return;
  const { geometry } = image.metadata;
  const change = await transaction(image);
  const read = await readActiveL1(image);
  const size = Math.min(oldSize, request.virtualSize);
  const needed = neededL1Entries(request.virtualSize, geometry);
  const words = new Uint32Array(Math.max(needed, request.virtualSize > oldSize ? l1Size : 0) * 2);
  await dropMapping(change, read, Math.ceil(size / geometry.clusterSize));
  words.set(read.words.subarray(0, words.length));
  const l1 = { words, hostOffset: read.hostOffset };
  if (request.virtualSize > oldSize) await fillNewRange(change, l1, request);
  const isL1Kept = words.length === read.words.length && (await isUnchanged(image, words));
  const fields = isL1Kept ? {} : await replaceActiveL1(change, words);
  const extensions = await resizeBitmaps(change, request.virtualSize);
  await change.commit({ ...extensions, fields: { ...fields, virtualSize: request.virtualSize } });
}

async function isUnchanged(image: EditedImage, words: Uint32Array): Promise<boolean> {
  const { words: old } = await readActiveL1(image);
  return old.every((word, index) => word === words[index]);
}

function checkRequest(image: EditedImage, request: ResizeRequest): void {
  const { header, geometry, snapshots } = image.metadata;
  const { virtualSize } = request;
  if (!Number.isSafeInteger(virtualSize) || virtualSize < 0 || virtualSize % SECTOR_SIZE !== 0) {
    throw badSize(`The new size of ${virtualSize} bytes is not a multiple of ${SECTOR_SIZE}`);
  }
  if (neededL1Entries(virtualSize, geometry) * 8 > MAX_L1_TABLE_SIZE) {
    throw badSize(`A disk of ${virtualSize} bytes is too large for clusters of ${geometry.clusterSize} bytes`);
  }
  if (virtualSize < header.virtualSize) {
    if (request.shrink === 'refuse') throw badSize('The new size is smaller, and guest bytes would be lost');
    if (request.preallocation !== 'off') throw badSize('Nothing can be preallocated when a disk shrinks');
  }
  if (header.version === 2 && snapshots.length > 0) {
    throw qcow2Error('unsupported', 'An image of version 2 with snapshots cannot be resized; amend it to compat=1.1', {
      structure: 'header',
      offset: 4,
    });
  }
}

function badSize(message: string): Error {
  return qcow2Error('out_of_bounds', message, { structure: 'header', offset: 24 });
}

/** Hides the backing image behind the old end, and preallocates. */
async function fillNewRange(change: Transaction, l1: L1Table, request: ResizeRequest): Promise<void> {
  const { header, geometry, backingFile } = change.image.metadata;
  const { clusterSize } = geometry;
  const backingEnd = backingFile === undefined ? 0 : (request.backingSize ?? request.virtualSize);
  if (header.virtualSize % clusterSize !== 0) await clearTail(change, l1, backingEnd);
  const first = Math.ceil(header.virtualSize / clusterSize);
  const end = Math.ceil(request.virtualSize / clusterSize);
  if (request.preallocation !== 'off') {
    await fillEntries(change, l1, { first, end }, dataFiller(change, request));
    return;
  }
  const hiddenEnd = Math.min(end, Math.ceil(backingEnd / clusterSize));
  if (hiddenEnd <= first) return;
  if (header.version === 2) throw hidesNothing('Version 2 has no zero clusters to hide a longer backing image with');
  await fillEntries(change, l1, { first, end: hiddenEnd }, zeroFiller(change));
}

function hidesNothing(why: string): Error {
  return qcow2Error('unsupported', `${why}; the disk cannot grow over it`, { structure: 'L2 table' });
}

/** The last cluster of the old disk with zeros behind the old end: what lies there was never seen by a guest. */
async function clearTail(change: Transaction, l1: L1Table, backingEnd: number): Promise<void> {
  const { image } = change;
  const { header, geometry } = image.metadata;
  const { clusterSize, l2Entries, entryWords } = geometry;
  const cluster = Math.floor(header.virtualSize / clusterSize);
  const l1Index = Math.floor(cluster / l2Entries);
  const index = cluster % l2Entries;
  const table = await tableFor(image, l1, l1Index);
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  const word = index * entryWords;
  const isMapped = entrySpan(table, index, geometry, span);
  const isZero = !geometry.extendedL2 && ((table.words[word + 1] ?? 0) & ZERO_FLAG) !== 0;
  if (backingEnd > header.virtualSize && !isZero && (geometry.extendedL2 || !isMapped)) {
    throw hidesNothing('The disk ends inside a cluster that the longer backing image shows through');
  }
  if (!isMapped || (isZero && !span.compressed)) return;
  const bytes = await readVisible(image, cluster * clusterSize);
  const hostOffset = await change.allocate(clusterSize);
  await image.file.sink.write(hostOffset, bytes);
  await change.change(span.hostOffset, span.length, -1);
  if (geometry.extendedL2 && span.compressed) table.words[word + 3] = ALL_SUBCLUSTERS;
  setStandard(table, word, hostOffset);
  await replaceL2Table(change, l1, { l1Index, table });
}

async function readVisible(image: EditedImage, guestOffset: number): Promise<Uint8Array> {
  const { header, geometry } = image.metadata;
  const bytes = new Uint8Array(geometry.clusterSize);
  const { portableCodecs } = await import('../../../bytes/portable-codecs.ts');
  const disk = await openQcow2(image.file.source, { codecs: portableCodecs, references: denyReferences });
  await disk.read(guestOffset, bytes.subarray(0, header.virtualSize - guestOffset));
  return bytes;
}

async function tableFor(image: EditedImage, l1: L1Table, l1Index: number): Promise<L2Table> {
  const { geometry } = image.metadata;
  const place = { hostOffset: rawL2TableOffset(l1, l1Index), guestOffset: l1Index * geometry.l2Coverage };
  if (place.hostOffset !== 0) return readL2Table(image.file.source, place, geometry);
  return { words: new Uint32Array(geometry.clusterSize / 4), ...place };
}

type EntryFiller = (table: L2Table, first: number, end: number) => Promise<void>;

/** Lets `fill` set the entries of guest clusters `[first, end)`, which have none yet, table by table. */
async function fillEntries(
  change: Transaction,
  l1: L1Table,
  range: { readonly first: number; readonly end: number },
  fill: EntryFiller,
): Promise<void> {
  const { l2Entries } = change.image.metadata.geometry;
  for (let cluster = range.first; cluster < range.end; cluster += l2Entries - (cluster % l2Entries)) {
    const l1Index = Math.floor(cluster / l2Entries);
    const table = await tableFor(change.image, l1, l1Index);
    await fill(table, cluster % l2Entries, Math.min(l2Entries, range.end - l1Index * l2Entries));
    await replaceL2Table(change, l1, { l1Index, table });
  }
}

function zeroFiller(change: Transaction): EntryFiller {
  const { entryWords, extendedL2 } = change.image.metadata.geometry;
  return async (table, first, end) => {
    for (let index = first; index < end; index++) {
      if (extendedL2) table.words[index * entryWords + 2] = ALL_SUBCLUSTERS;
      else table.words[index * entryWords + 1] = ZERO_FLAG;
    }
  };
}

/** Clusters of zeros: written with `full`, else left to the file, which reads as zeros where nothing was written. */
function dataFiller(change: Transaction, request: ResizeRequest): EntryFiller {
  const { geometry } = change.image.metadata;
  const { clusterSize, entryWords, extendedL2 } = geometry;
  const { sink, source } = change.image.file;
  const zeros = new Uint8Array(Math.max(clusterSize, ZERO_PIECE));
  return async (table, first, end) => {
    const length = (end - first) * clusterSize;
    const start = await change.allocate(length);
    if (request.preallocation === 'full') {
      for (let at = 0; at < length; at += zeros.length) {
        await sink.write(start + at, zeros.subarray(0, Math.min(zeros.length, length - at)));
      }
    } else if (start + length <= source.size) await sink.zero(start, length);
    else {
      if (start < source.size) await sink.zero(start, source.size - start);
      await sink.truncate(start + length);
    }
    for (let index = first; index < end; index++) {
      setStandard(table, index * entryWords, start + (index - first) * clusterSize);
      if (extendedL2) table.words[index * entryWords + 3] = ALL_SUBCLUSTERS;
    }
  };
}

const ZERO_PIECE = 2 ** 20;

function setStandard(table: L2Table, word: number, hostOffset: number): void {
  const { high, low } = standardEntry(hostOffset);
  table.words[word] = high;
  table.words[word + 1] = low;
}
