import { alignUp } from '../../../bytes/numbers.ts';
import { ImageError } from '../../../errors.ts';
import type { ClusterGeometry } from '../cluster-geometry.ts';
import {
  decodeCompressed,
  decodeUnit,
  isEmptyEntry,
  KIND,
  NO_HOST_OFFSET,
  rawHostOffset,
  unitState,
} from '../l2-entry.ts';
import type { L1Table } from '../l1-table.ts';
import { l1EntryDamage, l2TableOffset, rawL2TableOffset } from '../l1-table.ts';
import type { L2Table } from '../l2-table.ts';
import { readL2Table } from '../l2-table.ts';
import { MAX_CHECKED_TABLE_BYTES } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { Snapshot } from '../snapshot-table.ts';
import { checkSnapshotL1 } from '../snapshot-table.ts';
import type { TableWords } from '../table-words.ts';
import { readTableWords } from '../table-words.ts';
import type { EditedImage } from './edited-image.ts';
import type { Transaction } from './transaction.ts';

const COPIED_HIGH = 0x80000000;

/** The active L1 table, all entries of it. */
export function readActiveL1(image: EditedImage): Promise<L1Table> {
  const { header } = image.metadata;
  return readL1(image, { hostOffset: header.l1TableOffset, l1Size: header.l1Size });
}

/** An L1 table whose place and size were checked. */
async function readL1(
  image: EditedImage,
  place: { readonly hostOffset: number; readonly l1Size: number },
): Promise<L1Table> {
  const { hostOffset, l1Size } = place;
  const area = { structure: 'L1 table', hostOffset, sizeBytes: l1Size * 8 };
  return { words: await readTableWords(image.file.source, area), hostOffset };
}

/** The L1 table of a snapshot. Throws `corrupt` or `truncated` when it does not lie in the file. */
export async function readSnapshotL1(image: EditedImage, snapshot: Snapshot): Promise<L1Table> {
  checkSnapshotL1(snapshot, image.metadata.geometry.clusterSize, image.file.source.size);
  return readL1(image, { hostOffset: snapshot.l1TableOffset, l1Size: snapshot.l1Size });
}

/** What a walk does about damage: fail, or leave it as it is. */
export type OnDamage = 'throw' | 'skip';

/** Every L2 table below the L1 table. Throws `corrupt` or `truncated` for bad entries, unless they are to be skipped. */
export async function* l2TablesOf(
  image: EditedImage,
  l1: L1Table,
  damage: OnDamage = 'throw',
): AsyncGenerator<{ readonly l1Index: number; readonly table: L2Table }> {
  const { geometry } = image.metadata;
  let walkedBytes = 0;
  for (let l1Index = 0; l1Index < l1.words.length / 2; l1Index++) {
    if (l1.words[l1Index * 2] === 0 && l1.words[l1Index * 2 + 1] === 0) continue;
    if (damage === 'skip' && !isReadable(image, l1, l1Index)) continue;
    const hostOffset = l2TableOffset(l1, l1Index, geometry);
    if (hostOffset === 0) continue;
    walkedBytes += geometry.clusterSize;
    if (walkedBytes > MAX_CHECKED_TABLE_BYTES) throw tooManyTables();
    const place = { hostOffset, guestOffset: l1Index * geometry.l2Coverage };
    yield { l1Index, table: await readL2Table(image.file.source, place, geometry) };
  }
}

function isReadable(image: EditedImage, l1: L1Table, l1Index: number): boolean {
  const { geometry } = image.metadata;
  const end = rawL2TableOffset(l1, l1Index) + geometry.clusterSize;
  return l1EntryDamage(l1, l1Index, geometry) === undefined && end <= image.file.source.size;
}

function tooManyTables(): Error {
  return qcow2Error('unsupported', `The image has more than ${MAX_CHECKED_TABLE_BYTES} bytes of L2 tables`, {
    structure: 'L2 table',
  });
}

/** The host bytes that an L2 entry refers to. */
export interface EntrySpan {
  hostOffset: number;
  length: number;
  compressed: boolean;
}

/** The host bytes of entry `index` into `into`; false when it has none. Throws `corrupt` for unlawful entries. */
export function entrySpan(table: L2Table, index: number, geometry: ClusterGeometry, into: EntrySpan): boolean {
  if (isEmptyEntry(table, index, geometry)) return false;
  const unit = unitState();
  for (let i = 0; i < geometry.unitsPerCluster; i++) {
    decodeUnit(table, index * geometry.unitsPerCluster + i, geometry, unit);
    if (unit.kind === KIND.compressed) {
      decodeCompressed(table, index, geometry, into);
      into.compressed = true;
      return true;
    }
  }
  into.hostOffset = rawHostOffset(table, index, geometry);
  into.length = geometry.clusterSize;
  into.compressed = false;
  return into.hostOffset !== NO_HOST_OFFSET && !geometry.externalData;
}

/** Adds a reference to everything that the entries `[first, end)` of the table refer to, or takes one away. */
export async function changeEntries(
  change: Transaction,
  table: L2Table,
  by: 1 | -1,
  range?: { readonly first: number; readonly end: number },
): Promise<void> {
  const { geometry } = change.image.metadata;
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  const end = range?.end ?? geometry.l2Entries;
  for (let index = range?.first ?? 0; index < end; index++) {
    if (!entrySpan(table, index, geometry, span)) continue;
    const pending = change.change(span.hostOffset, span.length, by);
    if (pending !== undefined) await pending;
  }
}

/** Adds a reference to all data below the L1 table and to its L2 tables, or takes one away. Not to the L1 table. */
export async function changeMapping(change: Transaction, l1: L1Table, by: 1 | -1): Promise<void> {
  const { clusterSize } = change.image.metadata.geometry;
  for await (const { table } of l2TablesOf(change.image, l1)) {
    await changeEntries(change, table, by);
    await change.change(table.hostOffset, clusterSize, by);
  }
}

/**
 * Sets the copied flags below an L1 table, which is to be the active one, to what the next refcounts say. L2 tables with
 * wrong flags are copied, so `words` may point at other tables afterwards.
 */
export async function correctCopiedFlags(change: Transaction, l1: L1Table, damage: OnDamage = 'throw'): Promise<void> {
  for await (const { l1Index, table } of l2TablesOf(change.image, l1, damage)) {
    if (await correctEntries(change, table, damage)) await replaceL2Table(change, l1, { l1Index, table });
  }
  await correctL1Flags(change, l1);
}

/** True when a flag was wrong and is corrected in `table.words`. */
async function correctEntries(change: Transaction, table: L2Table, damage: OnDamage): Promise<boolean> {
  const { geometry } = change.image.metadata;
  if (geometry.externalData) return false;
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  let isCorrected = false;
  for (let index = 0; index < geometry.l2Entries; index++) {
    if (damage === 'skip' && isDamaged(table, index, geometry)) continue;
    const hasSpan = entrySpan(table, index, geometry, span);
    const count = hasSpan && !span.compressed ? change.refcount(span.hostOffset) : 0;
    const isOnly = (typeof count === 'number' ? count : await count) === 1;
    const word = index * geometry.entryWords;
    const high = table.words[word] ?? 0;
    if (((high & COPIED_HIGH) !== 0) === isOnly) continue;
    table.words[word] = isOnly ? (high | COPIED_HIGH) >>> 0 : high & ~COPIED_HIGH;
    isCorrected = true;
  }
  return isCorrected;
}

function isDamaged(table: L2Table, index: number, geometry: ClusterGeometry): boolean {
  try {
    entrySpan(table, index, geometry, { hostOffset: 0, length: 0, compressed: false });
    return false;
  } catch (error) {
    if (error instanceof ImageError) return true;
    throw error;
  }
}

/** Writes `table`, changed in memory (a new one has `hostOffset` 0), to a new place that the L1 entry then names. */
export async function replaceL2Table(
  change: Transaction,
  l1: L1Table,
  changed: { readonly l1Index: number; readonly table: L2Table },
): Promise<void> {
  const { clusterSize } = change.image.metadata.geometry;
  const hostOffset = await change.allocate(clusterSize);
  await writeWords(change, hostOffset, changed.table.words);
  if (changed.table.hostOffset !== 0) await change.change(changed.table.hostOffset, clusterSize, -1);
  setL1Entry(l1, changed.l1Index, hostOffset);
}

/** Points an L1 entry at an L2 table, 0 for none. Its copied flag is set. */
export function setL1Entry(l1: L1Table, l1Index: number, hostOffset: number): void {
  l1.words[l1Index * 2] = hostOffset === 0 ? 0 : (COPIED_HIGH | Math.floor(hostOffset / 2 ** 32)) >>> 0;
  l1.words[l1Index * 2 + 1] = hostOffset % 2 ** 32;
}

/** Sets the copied flag of each L1 entry to what the next refcounts say. */
export async function correctL1Flags(change: Transaction, l1: L1Table): Promise<void> {
  const { geometry } = change.image.metadata;
  for (let index = 0; index < l1.words.length / 2; index++) {
    const high = l1.words[index * 2] ?? 0;
    if (l1EntryDamage(l1, index, geometry) !== undefined) continue;
    const hostOffset = rawL2TableOffset(l1, index);
    const isOnly = hostOffset !== 0 && (await change.refcount(hostOffset)) === 1;
    l1.words[index * 2] = isOnly ? (high | COPIED_HIGH) >>> 0 : high & ~COPIED_HIGH;
  }
}

/** The same L1 table with all copied flags off, as snapshots keep it. */
export function withoutCopiedFlags(words: TableWords): TableWords {
  return words.map((word, index) => (index % 2 === 0 ? word & ~COPIED_HIGH : word));
}

/** Takes away everything from guest cluster `firstCluster` on: entries, L2 tables, data. */
export async function dropMapping(change: Transaction, l1: L1Table, firstCluster: number): Promise<void> {
  const { geometry } = change.image.metadata;
  const { l2Entries, clusterSize, entryWords } = geometry;
  for await (const { l1Index, table } of l2TablesOf(change.image, l1)) {
    const first = Math.max(0, firstCluster - l1Index * l2Entries);
    if (first >= l2Entries) continue;
    await changeEntries(change, table, -1, { first, end: l2Entries });
    if (first === 0) {
      await change.change(table.hostOffset, clusterSize, -1);
      setL1Entry(l1, l1Index, 0);
    } else if (table.words.subarray(first * entryWords).some((word) => word !== 0)) {
      table.words.fill(0, first * entryWords);
      await replaceL2Table(change, l1, { l1Index, table });
    }
  }
}

/** Writes an L1 table of `words` to a new place, 0 for an empty one. */
export async function writeL1(change: Transaction, words: TableWords): Promise<number> {
  const { clusterSize } = change.image.metadata.geometry;
  const hostOffset = await change.allocate(words.length * 4);
  const padded = new Uint32Array(alignUp(words.length * 4, clusterSize) / 4);
  padded.set(words);
  if (padded.length > 0) await writeWords(change, hostOffset, padded);
  return hostOffset;
}

/** Writes the words as the next active L1 table and frees the present one. */
export async function replaceActiveL1(
  change: Transaction,
  words: Uint32Array,
): Promise<{ readonly l1TableOffset: number; readonly l1Size: number }> {
  const { header } = change.image.metadata;
  await change.change(header.l1TableOffset, header.l1Size * 8, -1);
  return { l1TableOffset: await writeL1(change, words), l1Size: words.length / 2 };
}

async function writeWords(change: Transaction, hostOffset: number, words: TableWords): Promise<void> {
  await change.image.file.sink.write(hostOffset, encodeWords(words));
}

/** The big-endian bytes of a table. */
export function encodeWords(words: TableWords): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < words.length; i++) view.setUint32(i * 4, words[i] ?? 0);
  return bytes;
}
