import { ImageError } from '../../errors.ts';
import type { CheckState } from './check-state.ts';
import { addReferences, countWalk, reportCorruption } from './check-state.ts';
import {
  decodeCompressed,
  decodeUnit,
  isEmptyEntry,
  KIND,
  l2EntryCopied,
  NO_HOST_OFFSET,
  rawHostOffset,
  unitState,
} from './l2-entry.ts';
import type { L1Table } from './l1-table.ts';
import { l1EntryCopied, l1EntryDamage, rawL2TableOffset } from './l1-table.ts';
import type { L2Table } from './l2-table.ts';
import { readL2Table } from './l2-table.ts';
import { readTableWords } from './table-words.ts';

/** One L1 table to walk. */
export interface WalkedL1 {
  readonly structure: string;
  readonly hostOffset: number;
  readonly size: number;
  /** Only the active L1 table has meaningful copied flags and counts as allocation. */
  readonly active: boolean;
}

/** Counts every reference that comes from an L1 table: its own clusters, L2 tables, data clusters. */
export async function walkMapping(state: CheckState, walked: WalkedL1): Promise<void> {
  addReferences(state, walked.structure, walked.hostOffset, walked.size * 8);
  await forEachL2Table(state, walked, (l2Table, l1, l1Index) => {
    if (l2Table === undefined) {
      reportL1Entry(state, l1, l1Index);
      return;
    }
    addReferences(state, 'L2 table', l2Table.hostOffset, state.metadata.geometry.clusterSize);
    walkL2Table(state, l2Table, walked.active);
  });
}

/** Calls `visit` for each used entry of the L1 table; without a table when it cannot be read. */
async function forEachL2Table(
  state: CheckState,
  walked: WalkedL1,
  visit: (l2Table: L2Table | undefined, l1: L1Table, l1Index: number) => void,
): Promise<void> {
  const { source, metadata } = state;
  const { geometry } = metadata;
  const { hostOffset, structure } = walked;
  countWalk(state, walked.size * 8);
  const l1 = { words: await readTableWords(source, { structure, hostOffset, sizeBytes: walked.size * 8 }), hostOffset };
  for (let index = 0; index < walked.size; index++) {
    if (l1.words[index * 2] === 0 && l1.words[index * 2 + 1] === 0) continue;
    const l2Offset = rawL2TableOffset(l1, index);
    const isReadable =
      l1EntryDamage(l1, index, geometry) === undefined &&
      l2Offset !== 0 &&
      l2Offset + geometry.clusterSize <= source.size;
    if (!isReadable) {
      visit(undefined, l1, index);
      continue;
    }
    countWalk(state, geometry.clusterSize);
    const place = { hostOffset: l2Offset, guestOffset: index * geometry.l2Coverage };
    visit(await readL2Table(source, place, geometry), l1, index);
  }
}

function reportL1Entry(state: CheckState, l1: L1Table, index: number): void {
  const offset = l1.hostOffset + index * 8;
  const damage = l1EntryDamage(l1, index, state.metadata.geometry);
  const l2Offset = rawL2TableOffset(l1, index);
  if (damage !== undefined) reportCorruption(state, 'corrupt-table', `L1 entry ${index} ${damage}`, offset);
  else if (l2Offset !== 0) {
    const message = `L1 entry ${index} points at byte ${l2Offset}, and the file ends before the end of that L2 table`;
    reportCorruption(state, 'truncated', message, offset);
  }
}

function walkL2Table(state: CheckState, table: L2Table, active: boolean): void {
  const { geometry } = state.metadata;
  const span = { hostOffset: 0, length: 0 };
  let nextContiguous = 0;
  for (let index = 0; index < geometry.l2Entries; index++) {
    if (isEmptyEntry(table, index, geometry)) continue;
    const cluster = decodeCluster(state, table, index);
    if (cluster.kind === KIND.compressed) {
      decodeCompressed(table, index, geometry, span);
      addCompressed(state, table, index, span);
      if (active) {
        state.allocatedClusters++;
        state.compressedClusters++;
        state.fragmentedClusters++;
      }
    } else if (cluster.hostOffset !== NO_HOST_OFFSET) {
      if (!geometry.externalData) addReferences(state, 'data cluster', cluster.hostOffset, geometry.clusterSize);
      if (active) {
        state.allocatedClusters++;
        if (nextContiguous !== 0 && cluster.hostOffset !== nextContiguous) state.fragmentedClusters++;
        nextContiguous = cluster.hostOffset + geometry.clusterSize;
      }
    }
  }
}

interface CheckedCluster {
  readonly kind: number;
  /** Of the cluster's first byte. */
  readonly hostOffset: number;
}

/** The cluster as a whole, its subclusters checked; after a report, what its entry says all the same. */
function decodeCluster(state: CheckState, table: L2Table, index: number): CheckedCluster {
  const { geometry } = state.metadata;
  const unit = unitState();
  const first = index * geometry.unitsPerCluster;
  let hostOffset = NO_HOST_OFFSET;
  let dataEnd = 0;
  try {
    for (let i = 0; i < geometry.unitsPerCluster; i++) {
      decodeUnit(table, first + i, geometry, unit);
      if (unit.kind === KIND.compressed) break;
      if (unit.hostOffset === NO_HOST_OFFSET) continue;
      hostOffset = unit.hostOffset - i * geometry.unitSize;
      if (unit.kind === KIND.data) dataEnd = unit.hostOffset + guestLength(state, table, first + i);
    }
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    reportCorruption(state, 'corrupt-table', error.message, error.offset ?? table.hostOffset);
    return { kind: KIND.data, hostOffset: rawHostOffset(table, index, geometry) };
  }
  // A cluster without one allocated subcluster is still the entry's.
  if (unit.kind !== KIND.compressed && hostOffset === NO_HOST_OFFSET) {
    hostOffset = rawHostOffset(table, index, geometry);
  }
  if (geometry.externalData) checkExternalOffset(state, table, index, hostOffset);
  else if (dataEnd > state.source.size && dataEnd - state.source.size < geometry.clusterSize) {
    reportCorruption(state, 'truncated', `The file ends inside the data cluster at byte ${hostOffset}`, hostOffset);
  }
  return { kind: unit.kind, hostOffset };
}

/** Bytes of a unit that lie inside the virtual disk. */
function guestLength(state: CheckState, table: L2Table, unit: number): number {
  const { header, geometry } = state.metadata;
  const guestOffset = table.guestOffset + unit * geometry.unitSize;
  return Math.max(0, Math.min(geometry.unitSize, header.virtualSize - guestOffset));
}

function checkExternalOffset(state: CheckState, table: L2Table, index: number, hostOffset: number): void {
  const expected = table.guestOffset + index * state.metadata.geometry.clusterSize;
  if (hostOffset === NO_HOST_OFFSET || hostOffset === expected) return;
  const message = `L2 entry ${index} does not point at its own guest offset in the external data file`;
  reportCorruption(state, 'corrupt-table', message, table.hostOffset);
}

function addCompressed(
  state: CheckState,
  table: L2Table,
  index: number,
  span: { readonly hostOffset: number; readonly length: number },
): void {
  const { geometry } = state.metadata;
  if (l2EntryCopied(table, index, geometry)) {
    const message = `L2 entry ${index} is compressed and has the copied flag`;
    reportCorruption(state, 'copied-flag', message, table.hostOffset + index * geometry.entryWords * 4);
  }
  addReferences(state, 'compressed cluster', span.hostOffset, span.length);
}

/**
 * Compares the copied flags of the active tables with the refcounts that the image records, which
 * `state.references` holds by now.
 */
export async function checkCopiedFlags(state: CheckState, walked: WalkedL1): Promise<void> {
  const { geometry } = state.metadata;
  const { clusterSize } = geometry;
  const expectFlag = (what: string, hostOffset: number, flag: boolean, offset: number): void => {
    const isOnly = state.references.get(hostOffset / clusterSize) === 1;
    if (isOnly === flag) return;
    const message = `The copied flag of the ${what} at byte ${hostOffset} contradicts its refcount`;
    reportCorruption(state, 'copied-flag', message, offset);
  };
  await forEachL2Table(state, walked, (table, l1, l1Index) => {
    if (table === undefined) {
      if (l1EntryDamage(l1, l1Index, geometry) !== undefined) return;
      const hostOffset = rawL2TableOffset(l1, l1Index);
      expectFlag('L2 table', hostOffset, l1EntryCopied(l1, l1Index), l1.hostOffset + l1Index * 8);
      return;
    }
    expectFlag('L2 table', table.hostOffset, l1EntryCopied(l1, l1Index), l1.hostOffset + l1Index * 8);
    if (geometry.externalData) return;
    for (let index = 0; index < geometry.l2Entries; index++) {
      const hostOffset = rawHostOffset(table, index, geometry);
      if (hostOffset === NO_HOST_OFFSET || hostOffset % clusterSize !== 0) continue;
      const flag = l2EntryCopied(table, index, geometry);
      expectFlag('data cluster', hostOffset, flag, table.hostOffset + index * geometry.entryWords * 4);
    }
  });
}
