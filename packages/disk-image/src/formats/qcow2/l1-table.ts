import { sharedTables } from '../../image/shared-tables.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { qcow2Error } from './qcow2-error.ts';
import type { TableWords } from './table-words.ts';

/** Bits 56 to 62 of an entry, in its high word. qcow2 specification, "Cluster mapping", L1 table entry. */
const RESERVED_HIGH = 0x7f000000;
const OFFSET_HIGH = 0x00ffffff;
const COPIED_HIGH = 0x80000000;

/** An L1 table in memory and where it lies. */
export interface L1Table {
  readonly words: TableWords;
  readonly hostOffset: number;
}

/** What is wrong with an L1 entry, or undefined. Alignment covers the reserved bits 0 to 8. */
export function l1EntryDamage(l1: L1Table, index: number, geometry: ClusterGeometry): string | undefined {
  const high = l1.words[index * 2] ?? 0;
  const low = l1.words[index * 2 + 1] ?? 0;
  if ((high & RESERVED_HIGH) !== 0) return 'has reserved bits set';
  return (low & (geometry.clusterSize - 1)) === 0 ? undefined : 'does not point at the start of a cluster';
}

/** Byte offset of the L2 table that the entry points at, 0 for none. Throws `corrupt` for reserved bits and bad alignment. */
export function l2TableOffset(l1: L1Table, index: number, geometry: ClusterGeometry): number {
  const damage = l1EntryDamage(l1, index, geometry);
  if (damage === undefined) return rawL2TableOffset(l1, index);
  throw qcow2Error('corrupt', `L1 entry ${index} ${damage}`, {
    structure: 'L1 table',
    offset: l1.hostOffset + index * 8,
  });
}

/** The offset in the entry as it stands, without any check. */
export function rawL2TableOffset(l1: L1Table, index: number): number {
  return ((l1.words[index * 2] ?? 0) & OFFSET_HIGH) * 2 ** 32 + (l1.words[index * 2 + 1] ?? 0);
}

/** True when the entry says that its L2 table has a refcount of exactly one. */
export function l1EntryCopied(l1: L1Table, index: number): boolean {
  return ((l1.words[index * 2] ?? 0) & COPIED_HIGH) !== 0;
}

/** What is wrong when a great many L1 entries name the same L2 tables, or undefined. */
export function sharedTablesDamage(l1: L1Table, geometry: ClusterGeometry): string | undefined {
  const offsets = Float64Array.from({ length: l1.words.length / 2 }, (_, index) => rawL2TableOffset(l1, index));
  const shared = sharedTables(offsets, geometry.l2Entries);
  return shared === undefined ? undefined : `${shared} L1 entries name L2 tables that others name too`;
}
