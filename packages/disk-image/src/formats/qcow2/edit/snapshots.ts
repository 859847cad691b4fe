import type { SnapshotRequest, WritableImageFile } from '../../../image/editor.ts';
import { neededL1Entries } from '../cluster-geometry.ts';
import { MAX_SNAPSHOTS } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EditedImage } from './edited-image.ts';
import { openForChange } from './edited-image.ts';
import { refuseRecordingBitmaps } from './bitmap-consistency.ts';
import { resizeBitmaps } from './bitmap-resize.ts';
import {
  changeMapping,
  correctCopiedFlags,
  correctL1Flags,
  l2TablesOf,
  changeEntries,
  readActiveL1,
  readSnapshotL1,
  replaceActiveL1,
  withoutCopiedFlags,
  writeL1,
} from './mapping-change.ts';
import { repairDirty } from './repair.ts';
import type { SnapshotEntry } from './snapshot-entry.ts';
import { encodeSnapshot, encodeSnapshotTable, nextSnapshotId, readSnapshotEntries } from './snapshot-entry.ts';
import type { Transaction } from './transaction.ts';
import { transaction } from './transaction.ts';

const TERMS = { externalData: 'refused', repair: repairDirty } as const;

/**
 * Adds a snapshot of the guest disk: all data and L2 tables get one more reference, and the new active L2 tables have
 * no copied flags. Throws `unsupported` when the refcounts are too narrow. Returns the new id.
 */
export async function createSnapshot(file: WritableImageFile, request: SnapshotRequest): Promise<string> {
  const image = await openForChange(file, TERMS);
  const entries = await readSnapshotEntries(image);
  if (entries.length >= MAX_SNAPSHOTS) {
    throw qcow2Error('out_of_bounds', `An image has at most ${MAX_SNAPSHOTS} snapshots`, {
      structure: 'snapshot table',
    });
  }
  const change = await transaction(image);
  const l1 = await readActiveL1(image);
  for await (const { table } of l2TablesOf(image, l1)) await changeEntries(change, table, 1);
  await correctCopiedFlags(change, l1);
  await shareL2Tables(change, l1);
  const l1Size = l1.words.length / 2;
  const snapshotL1 = await writeL1(change, withoutCopiedFlags(l1.words));
  const id = nextSnapshotId(image.metadata.snapshots);
  const { virtualSize } = image.metadata.header;
  const added = encodeSnapshot(request, { id, l1TableOffset: snapshotL1, l1Size, virtualSize });
  const tables = await replaceTables(change, l1, [...entries.map((entry) => entry.bytes), added]);
  await change.commit({ fields: tables });
  return id;
}

/** Counts the reference from the snapshot to each L2 table; none of them is the active table's alone any more. */
async function shareL2Tables(
  change: Transaction,
  l1: { readonly words: Uint32Array; readonly hostOffset: number },
): Promise<void> {
  const { clusterSize } = change.image.metadata.geometry;
  for await (const { table } of l2TablesOf(change.image, l1)) await change.change(table.hostOffset, clusterSize, 1);
  await correctL1Flags(change, l1);
}

/** Makes the snapshot's bytes, and its size, those of the guest disk. Every snapshot stays. */
export async function applySnapshot(file: WritableImageFile, wanted: string): Promise<void> {
  const image = await openForChange(file, TERMS);
  refuseRecordingBitmaps(image, 'applying a snapshot');
  const { snapshot } = findEntry(await readSnapshotEntries(image), wanted);
  const { geometry, header } = image.metadata;
  const virtualSize = snapshot.info.virtualSize ?? header.virtualSize;
  const l1Size = Math.max(snapshot.l1Size, neededL1Entries(virtualSize, geometry));
  const change = await transaction(image);
  const saved = await readSnapshotL1(image, snapshot);
  const active = await readActiveL1(image);
  await changeMapping(change, active, -1);
  await changeMapping(change, saved, 1);
  const words = new Uint32Array(l1Size * 2);
  words.set(saved.words);
  const next = { words, hostOffset: saved.hostOffset };
  await correctCopiedFlags(change, next);
  const fields = await replaceActiveL1(change, next.words);
  const extensions = await resizeBitmaps(change, virtualSize);
  await change.commit({ ...extensions, fields: { ...fields, virtualSize } });
}

/** Removes the snapshot; what only it referred to is free. */
export async function deleteSnapshot(file: WritableImageFile, wanted: string): Promise<void> {
  const image = await openForChange(file, TERMS);
  const entries = await readSnapshotEntries(image);
  const removed = findEntry(entries, wanted);
  const { snapshot } = removed;
  const change = await transaction(image);
  const saved = await readSnapshotL1(image, snapshot);
  await changeMapping(change, saved, -1);
  await change.change(snapshot.l1TableOffset, snapshot.l1Size * 8, -1);
  const l1 = await readActiveL1(image);
  await correctCopiedFlags(change, l1);
  const rest = entries.filter((entry) => entry !== removed);
  await change.commit({
    fields: await replaceTables(
      change,
      l1,
      rest.map((entry) => entry.bytes),
    ),
  });
}

function findEntry(entries: readonly SnapshotEntry[], wanted: string): SnapshotEntry {
  const found =
    entries.find(({ snapshot }) => snapshot.info.id === wanted) ??
    entries.find(({ snapshot }) => snapshot.info.name === wanted);
  if (found !== undefined) return found;
  throw qcow2Error('out_of_bounds', `The image has no snapshot with the id or name ${JSON.stringify(wanted)}`, {
    structure: 'snapshot table',
  });
}

interface TableFields {
  readonly l1TableOffset: number;
  readonly l1Size: number;
  readonly snapshotsOffset: number;
  readonly snapshotCount: number;
}

async function replaceTables(
  change: Transaction,
  l1: { readonly words: Uint32Array },
  entries: readonly Uint8Array[],
): Promise<TableFields> {
  const active = await replaceActiveL1(change, l1.words);
  return { ...active, ...(await replaceSnapshotTable(change, entries)) };
}

/** Writes a new snapshot table and frees the present one. */
export async function replaceSnapshotTable(
  change: Transaction,
  entries: readonly Uint8Array[],
): Promise<{ readonly snapshotsOffset: number; readonly snapshotCount: number }> {
  const { image } = change;
  const { header, geometry } = image.metadata;
  const old = await snapshotTableLength(image);
  if (old > 0) await change.change(header.snapshotsOffset, old, -1);
  const table = encodeSnapshotTable(entries);
  const snapshotsOffset = await change.allocate(table.length);
  const padded = new Uint8Array(Math.ceil(table.length / geometry.clusterSize) * geometry.clusterSize);
  padded.set(table);
  if (padded.length > 0) await image.file.sink.write(snapshotsOffset, padded);
  return { snapshotsOffset, snapshotCount: entries.length };
}

async function snapshotTableLength(image: EditedImage): Promise<number> {
  const entries = await readSnapshotEntries(image);
  const last = entries.at(-1);
  return last === undefined ? 0 : last.snapshot.offset + last.bytes.length - image.metadata.header.snapshotsOffset;
}
