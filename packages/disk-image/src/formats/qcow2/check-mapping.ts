import { checkInside } from '../../bytes/byte-source.ts';
import { dataRanges, holeTest } from '../../bytes/data-ranges.ts';
import { alignDown, alignUp } from '../../bytes/numbers.ts';
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
import { l1EntryCopied, l1EntryDamage, rawL2TableOffset } from './l1-table.ts';
import type { L2Table } from './l2-table.ts';
import { readL2Table } from './l2-table.ts';
import type { NamedTable } from './named-tables.ts';
import { readTableWords } from './table-words.ts';

/** One L1 table to walk. */
export interface WalkedL1 {
  readonly structure: string;
  readonly hostOffset: number;
  readonly size: number;
  /** Only the active L1 table has meaningful copied flags and counts as allocation. */
  readonly active: boolean;
}

/**
 * Counts every reference that an L1 table makes: its own clusters and the L2 tables. What those refer to is counted by
 * `walkTables`, when all L1 tables have been walked.
 */
export async function walkL1Table(state: CheckState, walked: WalkedL1): Promise<void> {
  const { clusterSize, l2Coverage } = state.metadata.geometry;
  const isHole = holeTest(state.source);
  addReferences(state, { what: walked.structure, hostOffset: walked.hostOffset, length: walked.size * 8 });
  await forEachL1Entry(state, walked, (entry) => {
    if (!isReadable(state, entry)) {
      reportL1Entry(state, entry);
      return;
    }
    addReferences(state, { what: 'L2 table', hostOffset: entry.tableOffset, length: clusterSize });
    // Zeros refer to nothing.
    if (isHole(entry.tableOffset, clusterSize)) return;
    state.tables.add(entry.tableOffset, entry.index * l2Coverage, walked.active);
  });
}

/** Counts every reference that comes from the L2 tables that the walked L1 tables name, each table read once. */
export async function walkTables(state: CheckState): Promise<void> {
  const { geometry } = state.metadata;
  for (const named of state.tables) {
    countWalk(state, 'L2 table', geometry.clusterSize);
    walkL2Table(state, await readL2Table(state.source, named, geometry), named);
  }
}

/** An L1 entry that is not 0. */
interface L1Entry {
  readonly index: number;
  /** Byte offset of the entry in the file. */
  readonly offset: number;
  /** What is wrong with it. */
  readonly damage: string | undefined;
  /** Where it says that its L2 table lies. */
  readonly tableOffset: number;
  readonly copied: boolean;
}

const L1_PIECE_BYTES = 2 ** 20;

async function forEachL1Entry(state: CheckState, walked: WalkedL1, visit: (entry: L1Entry) => void): Promise<void> {
  const { source, metadata } = state;
  const { hostOffset, structure } = walked;
  checkInside(source.size, hostOffset, walked.size * 8);
  for (const range of dataRanges(source, hostOffset, hostOffset + walked.size * 8)) {
    const first = alignDown(range.start - hostOffset, 8);
    const end = alignUp(range.end - hostOffset, 8);
    for (let at = first; at < end; at += L1_PIECE_BYTES) {
      const sizeBytes = Math.min(L1_PIECE_BYTES, end - at);
      countWalk(state, 'L1 table', sizeBytes);
      const words = await readTableWords(source, { structure, hostOffset: hostOffset + at, sizeBytes });
      const l1 = { words, hostOffset: hostOffset + at };
      for (let i = 0; i < sizeBytes / 8; i++) {
        if (words[i * 2] === 0 && words[i * 2 + 1] === 0) continue;
        visit({
          index: at / 8 + i,
          offset: l1.hostOffset + i * 8,
          damage: l1EntryDamage(l1, i, metadata.geometry),
          tableOffset: rawL2TableOffset(l1, i),
          copied: l1EntryCopied(l1, i),
        });
      }
    }
  }
}

function isReadable({ source, metadata }: CheckState, { damage, tableOffset }: L1Entry): boolean {
  return damage === undefined && tableOffset !== 0 && tableOffset + metadata.geometry.clusterSize <= source.size;
}

function reportL1Entry(state: CheckState, { index, offset, damage, tableOffset }: L1Entry): void {
  if (damage !== undefined) reportCorruption(state, 'corrupt-table', `L1 entry ${index} ${damage}`, offset);
  else if (tableOffset !== 0) {
    const message = `L1 entry ${index} points at byte ${tableOffset}, and the file ends before the end of that L2 table`;
    reportCorruption(state, 'truncated', message, offset);
  }
}

function walkL2Table(state: CheckState, table: L2Table, { times, activeTimes }: NamedTable): void {
  const { geometry } = state.metadata;
  const span = { hostOffset: 0, length: 0 };
  let nextContiguous = 0;
  for (let index = 0; index < geometry.l2Entries; index++) {
    if (isEmptyEntry(table, index, geometry)) continue;
    const cluster = decodeCluster(state, table, { index, times });
    const { hostOffset } = cluster;
    if (cluster.kind === KIND.compressed) {
      decodeCompressed(table, index, geometry, span);
      addCompressed(state, table, { index, times, ...span });
      state.allocatedClusters += activeTimes;
      state.compressedClusters += activeTimes;
      state.fragmentedClusters += activeTimes;
    } else if (hostOffset !== NO_HOST_OFFSET) {
      const length = geometry.clusterSize;
      if (!geometry.externalData) addReferences(state, { what: 'data cluster', hostOffset, length, times });
      state.allocatedClusters += activeTimes;
      if (activeTimes > 0 && nextContiguous !== 0 && hostOffset !== nextContiguous) {
        state.fragmentedClusters += activeTimes;
      }
      nextContiguous = hostOffset + geometry.clusterSize;
    }
  }
}

interface CheckedCluster {
  readonly kind: number;
  /** Of the cluster's first byte. */
  readonly hostOffset: number;
}

/** An entry of an L2 table, and how many L1 entries lead to it. */
interface WalkedEntry {
  readonly index: number;
  readonly times: number;
}

/** The cluster as a whole, its subclusters checked; after a report, what its entry says all the same. */
function decodeCluster(state: CheckState, table: L2Table, entry: WalkedEntry): CheckedCluster {
  const { index, times } = entry;
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
    reportCorruption(state, 'corrupt-table', error.message, { offset: error.offset ?? table.hostOffset, times });
    return { kind: KIND.data, hostOffset: rawHostOffset(table, index, geometry) };
  }
  // A cluster without one allocated subcluster is still the entry's.
  if (unit.kind !== KIND.compressed && hostOffset === NO_HOST_OFFSET) {
    hostOffset = rawHostOffset(table, index, geometry);
  }
  if (geometry.externalData) checkExternalOffset(state, table, entry, hostOffset);
  else if (dataEnd > state.source.size && dataEnd - state.source.size < geometry.clusterSize) {
    const message = `The file ends inside the data cluster at byte ${hostOffset}`;
    reportCorruption(state, 'truncated', message, { offset: hostOffset, times });
  }
  return { kind: unit.kind, hostOffset };
}

/** Bytes of a unit that lie inside the virtual disk. */
function guestLength(state: CheckState, table: L2Table, unit: number): number {
  const { header, geometry } = state.metadata;
  const guestOffset = table.guestOffset + unit * geometry.unitSize;
  return Math.max(0, Math.min(geometry.unitSize, header.virtualSize - guestOffset));
}

function checkExternalOffset(
  state: CheckState,
  table: L2Table,
  { index, times }: WalkedEntry,
  hostOffset: number,
): void {
  const expected = table.guestOffset + index * state.metadata.geometry.clusterSize;
  if (hostOffset === NO_HOST_OFFSET || hostOffset === expected) return;
  const message = `L2 entry ${index} does not point at its own guest offset in the external data file`;
  reportCorruption(state, 'corrupt-table', message, { offset: table.hostOffset, times });
}

function addCompressed(
  state: CheckState,
  table: L2Table,
  entry: WalkedEntry & { readonly hostOffset: number; readonly length: number },
): void {
  const { index, times, hostOffset, length } = entry;
  const { geometry } = state.metadata;
  if (l2EntryCopied(table, index, geometry)) {
    const message = `L2 entry ${index} is compressed and has the copied flag`;
    const offset = table.hostOffset + index * geometry.entryWords * 4;
    reportCorruption(state, 'copied-flag', message, { offset, times });
  }
  addReferences(state, { what: 'compressed cluster', hostOffset, length, times });
}

/**
 * Compares the copied flags of the active tables with the refcounts that the image records, which
 * `state.references` holds by now.
 */
export async function checkCopiedFlags(state: CheckState, walked: WalkedL1): Promise<void> {
  const { geometry } = state.metadata;
  await forEachL1Entry(state, walked, (entry) => {
    const { damage, tableOffset: hostOffset, copied: flag, offset } = entry;
    if (damage === undefined) expectFlag(state, { what: 'L2 table', hostOffset, flag, offset, times: 1 });
  });
  if (geometry.externalData) return;
  for (const named of state.tables) {
    const { activeTimes: times } = named;
    if (times === 0) continue;
    const table = await readL2Table(state.source, named, geometry);
    for (let index = 0; index < geometry.l2Entries; index++) {
      const hostOffset = rawHostOffset(table, index, geometry);
      if (hostOffset === NO_HOST_OFFSET || hostOffset % geometry.clusterSize !== 0) continue;
      const flag = l2EntryCopied(table, index, geometry);
      const offset = table.hostOffset + index * geometry.entryWords * 4;
      expectFlag(state, { what: 'data cluster', hostOffset, flag, offset, times });
    }
  }
}

/** A copied flag that must fit the refcount of what it is about. */
interface CopiedFlag {
  readonly what: string;
  readonly hostOffset: number;
  readonly flag: boolean;
  /** Where the flag is. */
  readonly offset: number;
  readonly times: number;
}

function expectFlag(state: CheckState, { what, hostOffset, flag, offset, times }: CopiedFlag): void {
  const isOnly = state.references.get(hostOffset / state.metadata.geometry.clusterSize) === 1;
  if (isOnly === flag) return;
  const message = `The copied flag of the ${what} at byte ${hostOffset} contradicts its refcount`;
  reportCorruption(state, 'copied-flag', message, { offset, times });
}
