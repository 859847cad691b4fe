import type { ByteSource } from '../../bytes/byte-source.ts';
import type { Finding } from '../../image/finding.ts';
import { MAX_CHECK_FINDINGS, MAX_CHECKED_TABLE_BYTES } from './limits.ts';
import type { Metadata } from './metadata.ts';
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
  /** Bytes of tables read. */
  walkedBytes: number;
}

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
    walkedBytes: 0,
  };
}

/** Counts a corruption and names it while there is room. */
export function reportCorruption(state: CheckState, code: string, message: string, offset: number): void {
  state.corruptions++;
  if (state.findings.length < MAX_CHECK_FINDINGS) state.findings.push({ code, severity: 'unsafe', offset, message });
}

/** Counts a leaked cluster and names it while there is room. */
export function reportLeak(state: CheckState, message: string, offset: number): void {
  state.leaks++;
  if (state.findings.length < MAX_CHECK_FINDINGS) {
    state.findings.push({ code: 'leaked-cluster', severity: 'warning', offset, message });
  }
}

/**
 * Counts a reference to each cluster of the range. A range that ends a cluster or more beyond the file is a corruption
 * and not counted; a shorter excess is the end of a file that was not rounded up.
 */
export function addReferences(state: CheckState, what: string, hostOffset: number, length: number): void {
  if (length <= 0) return;
  const { clusterSize } = state.metadata.geometry;
  if (hostOffset + length - state.source.size >= clusterSize) {
    reportCorruption(
      state,
      'table-outside-file',
      `The ${what} at bytes ${hostOffset} to ${hostOffset + length} lies beyond the end of the file`,
      hostOffset,
    );
    return;
  }
  const end = Math.ceil((hostOffset + length) / clusterSize);
  for (let cluster = Math.floor(hostOffset / clusterSize); cluster < end; cluster++) {
    state.references.increment(cluster);
  }
}

/** Counts the walk over one more table. Throws `unsupported` when tables refer to each other without end. */
export function countWalk(state: CheckState, bytes: number): void {
  state.walkedBytes += bytes;
  if (state.walkedBytes <= MAX_CHECKED_TABLE_BYTES) return;
  throw qcow2Error('unsupported', `The image has more than ${MAX_CHECKED_TABLE_BYTES} bytes of tables to check`, {
    structure: 'L2 table',
  });
}
