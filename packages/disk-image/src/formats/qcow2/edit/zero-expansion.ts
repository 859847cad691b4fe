import { standardEntry } from '../l2-entry.ts';
import type { L2Table } from '../l2-table.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EntrySpan } from './mapping-change.ts';
import {
  correctL1Flags,
  entrySpan,
  l2TablesOf,
  readActiveL1,
  readSnapshotL1,
  replaceActiveL1,
  replaceL2Table,
} from './mapping-change.ts';
import type { Transaction } from './transaction.ts';

const ZERO_FLAG = 1;

/**
 * Does without zero clusters, which version 2 does not have: unallocated ones take their place, or clusters of zeros
 * above a backing image. Gives the new place of the active L1 table. Throws `unsupported` when tables that snapshots
 * use hold zero clusters.
 */
export async function expandZeroClusters(
  change: Transaction,
): Promise<{ readonly l1TableOffset?: number; readonly l1Size?: number }> {
  const { image } = change;
  const l1 = await readActiveL1(image);
  let isChanged = false;
  for await (const { l1Index, table } of l2TablesOf(image, l1)) {
    if (!hasZeroClusters(table)) continue;
    if (image.metadata.snapshots.length > 0) throw snapshotsHoldZeros();
    await expandTable(change, table);
    await replaceL2Table(change, l1, { l1Index, table });
    isChanged = true;
  }
  if (image.metadata.snapshots.length > 0) await refuseZerosInSnapshots(change);
  if (!isChanged) return {};
  await correctL1Flags(change, l1);
  return replaceActiveL1(change, l1.words);
}

function hasZeroClusters(table: L2Table): boolean {
  for (let word = 0; word < table.words.length; word += 2) if (isZeroEntry(table, word)) return true;
  return false;
}

const COMPRESSED_HIGH = 0x40000000;

function isZeroEntry(table: L2Table, word: number): boolean {
  return ((table.words[word] ?? 0) & COMPRESSED_HIGH) === 0 && ((table.words[word + 1] ?? 0) & ZERO_FLAG) !== 0;
}

async function expandTable(change: Transaction, table: L2Table): Promise<void> {
  const { geometry, backingFile } = change.image.metadata;
  const span: EntrySpan = { hostOffset: 0, length: 0, compressed: false };
  const zeros = new Uint8Array(geometry.clusterSize);
  for (let index = 0; index < geometry.l2Entries; index++) {
    const word = index * 2;
    if (!isZeroEntry(table, word)) continue;
    if (entrySpan(table, index, geometry, span)) await change.change(span.hostOffset, span.length, -1);
    if (backingFile === undefined) {
      table.words.fill(0, word, word + 2);
      continue;
    }
    const hostOffset = await change.allocate(geometry.clusterSize);
    await change.image.file.sink.write(hostOffset, zeros);
    const { high, low } = standardEntry(hostOffset);
    table.words[word] = high;
    table.words[word + 1] = low;
  }
}

async function refuseZerosInSnapshots(change: Transaction): Promise<void> {
  const { image } = change;
  for (const snapshot of image.metadata.snapshots) {
    const l1 = await readSnapshotL1(image, snapshot);
    for await (const { table } of l2TablesOf(image, l1)) if (hasZeroClusters(table)) throw snapshotsHoldZeros();
  }
}

function snapshotsHoldZeros(): Error {
  return qcow2Error(
    'unsupported',
    'compat=0.10 is not possible: there are snapshots and zero clusters, which it does not have; delete the snapshots',
    { structure: 'L2 table' },
  );
}
