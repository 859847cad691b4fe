import { alignUp } from '../../bytes/numbers.ts';
import { refcountBlockEntries } from './refcount-block.ts';

/** The tables that a fully allocated image needs, in clusters. */
export interface MetadataClusters {
  readonly l2Tables: number;
  readonly l1Table: number;
  readonly refcountBlocks: number;
  readonly refcountTable: number;
  /** All of them and the header. */
  readonly total: number;
}

/** What decides the size of the tables. */
export interface SizedDisk {
  readonly virtualSize: number;
  readonly clusterSize: number;
  readonly l2Entries: number;
  readonly refcountOrder: number;
}

/** Clusters of metadata when every cluster of the disk has one of its own: what `qemu-img measure` counts. */
export function metadataClusters(disk: SizedDisk): MetadataClusters {
  const { clusterSize } = disk;
  const data = Math.ceil(disk.virtualSize / clusterSize);
  const l2Tables = Math.ceil(data / disk.l2Entries);
  const l1Table = alignUp(l2Tables * 8, clusterSize) / clusterSize;
  const counted = 1 + data + l2Tables + l1Table;
  const refcounts = refcountClusters(counted, { clusterSize, refcountOrder: disk.refcountOrder });
  return {
    l2Tables,
    l1Table,
    refcountBlocks: refcounts.blocks,
    refcountTable: refcounts.table,
    total: 1 + l2Tables + l1Table + refcounts.blocks + refcounts.table,
  };
}

/**
 * Refcount blocks and the clusters of the refcount table that cover `counted` clusters and themselves.
 * `written` blocks are already among the counted clusters.
 */
export function refcountClusters(
  counted: number,
  layout: { readonly clusterSize: number; readonly refcountOrder: number; readonly written?: number },
): { readonly blocks: number; readonly table: number } {
  const entries = refcountBlockEntries(layout.clusterSize, layout.refcountOrder);
  const written = layout.written ?? 0;
  let blocks = written;
  let table = 0;
  for (;;) {
    const needed = Math.ceil((counted + blocks - written + table) / entries);
    const neededTable = alignUp(needed * 8, layout.clusterSize) / layout.clusterSize;
    if (needed === blocks && neededTable === table) return { blocks, table };
    blocks = needed;
    table = neededTable;
  }
}
