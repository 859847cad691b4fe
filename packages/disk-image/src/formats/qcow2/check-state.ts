import type { ByteSource } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import {
  MAX_CHECK_FINDINGS,
  MAX_CHECKED_BITMAP_BYTES,
  MAX_CHECKED_L1_BYTES,
  MAX_CHECKED_TABLE_BYTES,
} from './limits.ts';
import type { Metadata } from './metadata.ts';
import type { NamedTables } from './named-tables.ts';
import { namedTables } from './named-tables.ts';
import { qcow2Error } from './qcow2-error.ts';
import type { ReferenceCounts } from './reference-counts.ts';
import { referenceCounts } from './reference-counts.ts';

/** What a check has found so far. */
export interface CheckState {
  readonly source: ByteSource;
  readonly metadata: Metadata;
  /** References to each host cluster; after the comparison, the refcounts that the image records. */
  readonly references: ReferenceCounts;
  readonly findings: Finding[];
  corruptions: number;
  leaks: number;
  allocatedClusters: number;
  compressedClusters: number;
  fragmentedClusters: number;
  /** The L2 tables that L1 tables name, each once. */
  readonly tables: NamedTables;
  /** Bytes of tables read, by their kind. */
  readonly walkedBytes: Record<WalkedKind, number>;
}

/** Kinds of tables that may be named over and over. */
export type WalkedKind = 'L1 table' | 'L2 table' | 'bitmap table';

const MAX_WALKED_BYTES: Readonly<Record<WalkedKind, number>> = {
  'L1 table': MAX_CHECKED_L1_BYTES,
  'L2 table': MAX_CHECKED_TABLE_BYTES,
  'bitmap table': MAX_CHECKED_BITMAP_BYTES,
};

/** A check that has found nothing yet. */
export function checkState(source: ByteSource, metadata: Metadata): CheckState {
  return {
    source,
    metadata,
    references: referenceCounts(),
    findings: [],
    corruptions: 0,
    leaks: 0,
    allocatedClusters: 0,
    compressedClusters: 0,
    fragmentedClusters: 0,
    tables: namedTables(),
    walkedBytes: { 'L1 table': 0, 'L2 table': 0, 'bitmap table': 0 },
  };
}

/** Counts a corruption, once for each way that leads to it, and names it while there is room. */
export function reportCorruption(
  state: CheckState,
  code: string,
  message: string,
  place: number | { readonly offset: number; readonly times: number },
): void {
  const { offset, times } = typeof place === 'number' ? { offset: place, times: 1 } : place;
  state.corruptions += times;
  if (state.findings.length < MAX_CHECK_FINDINGS) state.findings.push({ code, severity: 'unsafe', offset, message });
}

/** Counts a leaked cluster and names it while there is room. There may be millions, so the message is made when it is needed. */
export function reportLeak(state: CheckState, message: () => string, offset: number): void {
  state.leaks++;
  if (state.findings.length < MAX_CHECK_FINDINGS) {
    state.findings.push({ code: 'leaked-cluster', severity: 'warning', offset, message: message() });
  }
}

/** What names a range of the file. */
export interface Reference {
  readonly what: string;
  readonly hostOffset: number;
  readonly length: number;
  /** How often; once when absent. */
  readonly times?: number;
}

/**
 * Counts a reference to each cluster of the range. A range that ends a cluster or more beyond the file is a corruption
 * and not counted; a shorter excess is the end of a file that was not rounded up.
 */
export function addReferences(state: CheckState, { what, hostOffset, length, times = 1 }: Reference): void {
  if (length <= 0) return;
  const { clusterSize } = state.metadata.geometry;
  if (hostOffset + length - state.source.size >= clusterSize) {
    reportCorruption(
      state,
      'table-outside-file',
      `The ${what} at bytes ${hostOffset} to ${hostOffset + length} lies beyond the end of the file`,
      { offset: hostOffset, times },
    );
    return;
  }
  const end = Math.ceil((hostOffset + length) / clusterSize);
  for (let cluster = Math.floor(hostOffset / clusterSize); cluster < end; cluster++) {
    state.references.add(cluster, times);
  }
}

/** Counts the walk over one more table. Throws `unsupported` when tables are named without end. */
export function countWalk(state: CheckState, kind: WalkedKind, bytes: number): void {
  state.walkedBytes[kind] += bytes;
  const most = MAX_WALKED_BYTES[kind];
  if (state.walkedBytes[kind] <= most) return;
  throw qcow2Error('unsupported', `The image has more than ${most} bytes of ${kind}s to check`, { structure: kind });
}
