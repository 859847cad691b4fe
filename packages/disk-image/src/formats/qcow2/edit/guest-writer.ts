import { assert } from '../../../errors.ts';
import type { GuestWriter, WritableImageFile } from '../../../image/editor.ts';
import type { ClusterGeometry } from '../cluster-geometry.ts';
import { AUTOCLEAR } from '../header.ts';
import { standardEntry } from '../l2-entry.ts';
import type { L1Table } from '../l1-table.ts';
import { l1EntryCopied, l2TableOffset } from '../l1-table.ts';
import type { L2Table } from '../l2-table.ts';
import { readL2Table } from '../l2-table.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { WriteRecorder } from './bitmap-recorder.ts';
import { writeRecorder } from './bitmap-recorder.ts';
import type { ClusterPool, DroppedSpan } from './cluster-pool.ts';
import { clusterPool } from './cluster-pool.ts';
import type { EditedImage } from './edited-image.ts';
import { openForChange, readEdited } from './edited-image.ts';
import { switchHeader } from './header-switch.ts';
import type { EntrySpan } from './mapping-change.ts';
import { encodeWords, entrySpan, readActiveL1, setL1Entry } from './mapping-change.ts';
import { repairDirty } from './repair.ts';

const ALL_SUBCLUSTERS = 0xffffffff;
const ZERO_FLAG = 1;
const COPIED_HIGH = 0x80000000;
const SECTOR_SIZE = 512;
/** Bytes of changed L2 tables that are kept before they are written. */
const MAX_CHANGED_TABLES_SIZE = 16 * 2 ** 20;
/** Clusters that are placed before their data is written. */
const MAX_PIECE_CLUSTERS = 64;
const KNOWN_AUTOCLEAR = AUTOCLEAR.bitmaps | AUTOCLEAR.rawExternalData;

/** An L2 table with changes that the file does not have yet. */
interface ChangedTable {
  readonly l1Index: number;
  readonly table: L2Table;
  /** True when the table is the active L1 table's alone and may be written where it is. */
  readonly inPlace: boolean;
  /** Changed entries, first and after the last. */
  first: number;
  end: number;
}

/** What a writer works on. */
interface WriterState {
  readonly image: EditedImage;
  readonly l1: L1Table;
  readonly pool: ClusterPool;
  readonly recorder: WriteRecorder;
  readonly changed: Map<number, ChangedTable>;
  readonly tables: Map<number, ChangedTable>;
  readonly dropped: DroppedSpan[];
  /** Tables in `changed` that need a new cluster. */
  newTables: number;
}

/**
 * Opens the guest disk for writing whole clusters. Clusters that are this disk's alone are overwritten; others get a new
 * place: counted first, written and flushed, then referred to, and only then is the old place counted as free. Bitmaps
 * that record writes get their bits when the writer is finished.
 */
export async function openQcow2Guest(file: WritableImageFile): Promise<GuestWriter> {
  const image = await withoutUnknownAutoclear(
    await openForChange(file, { externalData: 'refused', repair: repairDirty }),
  );
  const recorder = await writeRecorder(image);
  const state: WriterState = {
    image,
    l1: await readActiveL1(image),
    pool: clusterPool(image, recorder),
    recorder,
    changed: new Map(),
    tables: new Map(),
    dropped: [],
    newTables: 0,
  };
  const { virtualSize } = image.metadata.header;
  const { clusterSize } = image.metadata.geometry;
  const checkUnits = (offset: number, length: number): void => {
    const end = offset + length;
    assert(offset % clusterSize === 0 && (end % clusterSize === 0 || end === virtualSize), 'units are written whole');
    if (offset >= 0 && end <= virtualSize) return;
    throw qcow2Error('out_of_bounds', `Bytes ${offset} to ${end} are outside a disk of ${virtualSize} bytes`, {
      structure: 'guest disk',
      offset,
    });
  };
  return {
    virtualSize,
    unitSize: clusterSize,
    async write(offset, bytes) {
      checkUnits(offset, bytes.length);
      state.recorder.record(offset, bytes.length);
      await writeClusters(state, offset, bytes);
    },
    async zero(offset, length) {
      checkUnits(offset, length);
      state.recorder.record(offset, length);
      for (let at = offset; at < offset + length; at += clusterSize) await zeroCluster(state, at);
    },
    async finish() {
      await publish(state);
      await state.pool.close(state.dropped.splice(0));
    },
  };
}

/** A bit that is not known says that something follows every write: it must be off before the first one. */
async function withoutUnknownAutoclear(image: EditedImage): Promise<EditedImage> {
  if ((image.metadata.header.autoclearFeatures & ~KNOWN_AUTOCLEAR) === 0n) return image;
  await switchHeader(image, { fields: {} });
  return { ...(await readEdited(image.file)), allocation: image.allocation };
}

async function writeClusters(state: WriterState, offset: number, bytes: Uint8Array): Promise<void> {
  const { clusterSize } = state.image.metadata.geometry;
  const pieceSize = MAX_PIECE_CLUSTERS * clusterSize;
  for (let at = 0; at < bytes.length; at += pieceSize) {
    // Nothing may be published between the placing of a cluster and the writing of its data.
    await makeRoom(state, Math.min(MAX_PIECE_CLUSTERS, Math.ceil((bytes.length - at) / clusterSize)));
    await writePiece(state, offset + at, bytes.subarray(at, at + pieceSize));
  }
}

async function writePiece(state: WriterState, offset: number, bytes: Uint8Array): Promise<void> {
  const { clusterSize } = state.image.metadata.geometry;
  const { sink } = state.image.file;
  let runStart = 0;
  let runHost = 0;
  for (let at = 0; at < bytes.length; at += clusterSize) {
    const hostOffset = await placeCluster(state, offset + at);
    if (at > runStart && hostOffset !== runHost + (at - runStart)) {
      await sink.write(runHost, bytes.subarray(runStart, at));
      runStart = at;
    }
    if (at === runStart) runHost = hostOffset;
  }
  await sink.write(runHost, bytes.subarray(runStart));
  const rest = bytes.length % clusterSize;
  if (rest !== 0) await sink.zero(runHost + bytes.length - runStart, clusterSize - rest);
}

/** Where the guest cluster at `guestOffset` is to be written: where it is, or in a new cluster. */
async function placeCluster(state: WriterState, guestOffset: number): Promise<number> {
  const { geometry } = state.image.metadata;
  const { loaded, index } = await entryAt(state, guestOffset);
  const { table } = loaded;
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  const isMapped = entrySpan(table, index, geometry, span);
  const word = index * geometry.entryWords;
  if (isMapped && isOverwritable(table, word, geometry)) return span.hostOffset;
  if (isMapped) state.dropped.push({ hostOffset: span.hostOffset, length: span.length });
  const hostOffset = state.pool.take();
  const { high, low } = standardEntry(hostOffset);
  table.words.set(geometry.extendedL2 ? [high, low, 0, ALL_SUBCLUSTERS] : [high, low], word);
  markChanged(state, loaded, index);
  return hostOffset;
}

/** Whether the entry is plain data that belongs to this disk alone. Compressed entries have no copied flag. */
function isOverwritable(table: L2Table, word: number, geometry: ClusterGeometry): boolean {
  if (((table.words[word] ?? 0) & COPIED_HIGH) === 0) return false;
  if (geometry.extendedL2) return table.words[word + 3] === ALL_SUBCLUSTERS;
  return ((table.words[word + 1] ?? 0) & ZERO_FLAG) === 0;
}

async function zeroCluster(state: WriterState, guestOffset: number): Promise<void> {
  const { geometry, backingFile, header } = state.image.metadata;
  const { clusterSize, extendedL2, entryWords } = geometry;
  await makeRoom(state, 1);
  const { loaded, index } = await entryAt(state, guestOffset);
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  const isMapped = entrySpan(loaded.table, index, geometry, span);
  if (!isMapped && backingFile === undefined) return;
  if (geometry.version === 2 && backingFile !== undefined) {
    const length = Math.min(clusterSize, header.virtualSize - guestOffset);
    await writeClusters(state, guestOffset, new Uint8Array(length));
    return;
  }
  if (isMapped) state.dropped.push({ hostOffset: span.hostOffset, length: span.length });
  const zero = extendedL2 ? [0, 0, ALL_SUBCLUSTERS, 0] : [0, geometry.version === 2 ? 0 : ZERO_FLAG];
  loaded.table.words.set(zero, index * entryWords);
  markChanged(state, loaded, index);
}

async function entryAt(
  state: WriterState,
  guestOffset: number,
): Promise<{ readonly loaded: ChangedTable; readonly index: number }> {
  const { geometry } = state.image.metadata;
  const l1Index = Math.floor(guestOffset / geometry.l2Coverage);
  const index = Math.floor((guestOffset % geometry.l2Coverage) / geometry.clusterSize);
  const known = state.tables.get(l1Index);
  if (known !== undefined) return { loaded: known, index };
  const place = { hostOffset: l2TableOffset(state.l1, l1Index, geometry), guestOffset: l1Index * geometry.l2Coverage };
  const table =
    place.hostOffset === 0
      ? { words: new Uint32Array(geometry.clusterSize / 4), ...place }
      : await readL2Table(state.image.file.source, place, geometry);
  const inPlace = place.hostOffset !== 0 && l1EntryCopied(state.l1, l1Index);
  const loaded = { l1Index, table, inPlace, first: geometry.l2Entries, end: 0 };
  state.tables.set(l1Index, loaded);
  return { loaded, index };
}

function markChanged(state: WriterState, loaded: ChangedTable, index: number): void {
  if (!state.changed.has(loaded.l1Index)) {
    state.changed.set(loaded.l1Index, loaded);
    if (!loaded.inPlace) state.newTables++;
  }
  loaded.first = Math.min(loaded.first, index);
  loaded.end = Math.max(loaded.end, index + 1);
}

/** So many clusters more and their tables must fit the pool, and the tables must fit memory. */
async function makeRoom(state: WriterState, clusters: number): Promise<void> {
  const { clusterSize, l2Entries } = state.image.metadata.geometry;
  const own = clusters + Math.ceil(clusters / l2Entries) + 1;
  const isPoolLow = state.pool.remaining < state.newTables + own;
  if (!isPoolLow && !state.recorder.isFull && state.tables.size * clusterSize <= MAX_CHANGED_TABLES_SIZE) return;
  await publish(state);
  await state.pool.refill(state.dropped.splice(0), own);
}

/** Makes everything written part of the disk: data and new tables are flushed before anything refers to them. */
async function publish(state: WriterState): Promise<void> {
  const { sink } = state.image.file;
  state.tables.clear();
  if (state.changed.size === 0) {
    await sink.flush();
    return;
  }
  const changed = [...state.changed.values()];
  const moved = changed.filter((table) => !table.inPlace);
  for (const table of moved) await writeMovedTable(state, table);
  await sink.flush();
  for (const table of changed) if (table.inPlace) await writeEntries(state, table);
  for (const { l1Index } of moved) await writeL1Entry(state, l1Index);
  await sink.flush();
  state.changed.clear();
  state.newTables = 0;
}

async function writeMovedTable(state: WriterState, changed: ChangedTable): Promise<void> {
  const { clusterSize } = state.image.metadata.geometry;
  const hostOffset = state.pool.take();
  await state.image.file.sink.write(hostOffset, encodeWords(changed.table.words));
  const old = changed.table.hostOffset;
  if (old !== 0) state.dropped.push({ hostOffset: old, length: clusterSize });
  setL1Entry(state.l1, changed.l1Index, hostOffset);
}

/** The changed entries with the rest of their sectors. An entry lies within one sector, so each is old or new. */
async function writeEntries(state: WriterState, changed: ChangedTable): Promise<void> {
  const entrySize = state.image.metadata.geometry.entryWords * 4;
  const start = Math.floor((changed.first * entrySize) / SECTOR_SIZE) * SECTOR_SIZE;
  const end = Math.ceil((changed.end * entrySize) / SECTOR_SIZE) * SECTOR_SIZE;
  const bytes = encodeWords(changed.table.words.subarray(start / 4, end / 4));
  await state.image.file.sink.write(changed.table.hostOffset + start, bytes);
}

async function writeL1Entry(state: WriterState, l1Index: number): Promise<void> {
  const bytes = encodeWords(state.l1.words.subarray(l1Index * 2, l1Index * 2 + 2));
  await state.image.file.sink.write(state.l1.hostOffset + l1Index * 8, bytes);
}
