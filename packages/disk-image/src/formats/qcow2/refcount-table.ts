import { readBytes } from '../../bytes/byte-source.ts';
import { alignDown } from '../../bytes/numbers.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import type { CheckState } from './check-state.ts';
import { addReferences, reportCorruption, reportLeak } from './check-state.ts';
import { MAX_SHARED_REFCOUNTS } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';
import { readRefcount, refcountBlockEntries } from './refcount-block.ts';
import { readTableWords } from './table-words.ts';

/** Bits 0 to 8 of an entry. qcow2 specification, "Host cluster management", refcount table entry. */
const RESERVED_LOW = 0x1ff;

/** The offsets of the refcount blocks, 0 where there is none; bad ones are reported and left out. */
export async function readRefcountTable(state: CheckState): Promise<Float64Array> {
  const { header, geometry } = state.metadata;
  const sizeBytes = header.refcountTableClusters * geometry.clusterSize;
  const hostOffset = header.refcountTableOffset;
  addReferences(state, { what: 'refcount table', hostOffset, length: sizeBytes });
  const words = await readTableWords(state.source, { structure: 'refcount table', hostOffset, sizeBytes });
  const blocks = new Float64Array(words.length / 2);
  for (let index = 0; index < blocks.length; index++) {
    const low = words[index * 2 + 1] ?? 0;
    const blockOffset = (words[index * 2] ?? 0) * 2 ** 32 + low;
    if (blockOffset === 0) continue;
    const place = hostOffset + index * 8;
    if ((low & RESERVED_LOW) !== 0 || blockOffset % geometry.clusterSize !== 0) {
      reportCorruption(state, 'corrupt-table', `Refcount block ${index} is not at the start of a cluster`, place);
    } else if (blockOffset + geometry.clusterSize > state.source.size) {
      reportCorruption(state, 'table-outside-file', `Refcount block ${index} lies beyond the end of the file`, place);
    } else {
      addReferences(state, { what: 'refcount block', hostOffset: blockOffset, length: geometry.clusterSize });
      blocks[index] = blockOffset;
    }
  }
  return blocks;
}

/**
 * Compares the refcounts of all clusters of the file with the references counted, then keeps the refcounts in
 * `state.references`. Returns the byte offset after the last cluster in use.
 */
export async function compareRefcounts(state: CheckState, blocks: Float64Array): Promise<number> {
  const { header, geometry } = state.metadata;
  const { clusterSize } = geometry;
  const entries = refcountBlockEntries(clusterSize, header.refcountOrder);
  const clusters = Math.max(Math.ceil(state.source.size / clusterSize), state.references.end);
  const isHole = holeTest(state.source);
  const seen = new Set<number>();
  let shared = 0;
  let endCluster = 0;
  // Behind the last block only what is counted can differ.
  const following = (first: number): number =>
    first / entries < blocks.length ? first : alignDown(state.references.nextCounted(first, clusters), entries);
  for (let first = 0; first < clusters; first = Math.max(first + entries, following(first + entries))) {
    const blockOffset = blocks[first / entries] ?? 0;
    const end = Math.min(first + entries, clusters);
    const isZero = blockOffset === 0 || isHole(blockOffset, clusterSize);
    if (!isZero) {
      if (seen.has(blockOffset)) shared += end - first;
      if (shared > MAX_SHARED_REFCOUNTS) throw tooManyShared(header.refcountTableOffset);
      seen.add(blockOffset);
    }
    const block = isZero ? undefined : await readBytes(state.source, blockOffset, clusterSize);
    // Where no refcount is, only what is counted can differ.
    const next = (cluster: number): number =>
      block === undefined ? state.references.nextCounted(cluster, end) : cluster;
    for (let cluster = next(first); cluster < end; cluster = next(cluster + 1)) {
      const refcount = block === undefined ? 0 : readRefcount(block, cluster - first, header.refcountOrder);
      const references = state.references.get(cluster);
      if (refcount > 0 || references > 0) endCluster = cluster + 1;
      if (refcount === references) continue;
      reportDifference(state, cluster, refcount, references);
      state.references.set(cluster, Math.min(refcount, 0xffffffff));
    }
  }
  return endCluster * clusterSize;
}

function tooManyShared(offset: number): Error {
  const message = `More than ${MAX_SHARED_REFCOUNTS} refcounts are in blocks that the refcount table names repeatedly`;
  return qcow2Error('unsupported', message, { structure: 'refcount table', offset });
}

function reportDifference(state: CheckState, cluster: number, refcount: number, references: number): void {
  const offset = cluster * state.metadata.geometry.clusterSize;
  const numbers = (): string => `refcount ${refcount}, references ${references}`;
  if (refcount > references) reportLeak(state, () => `Cluster ${cluster} is leaked: ${numbers()}`, offset);
  else
    reportCorruption(
      state,
      'refcount-too-low',
      `Cluster ${cluster} may be overwritten while in use: ${numbers()}`,
      offset,
    );
}
