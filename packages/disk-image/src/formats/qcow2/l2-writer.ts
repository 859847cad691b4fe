import { alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { neededL1Entries } from './cluster-geometry.ts';
import { compressedEntry, standardEntry } from './l2-entry.ts';
import type { TableAppender } from './table-appender.ts';

const ALL_SUBCLUSTERS = 0xffffffff;
/** Bit 0 of a standard entry. */
const ZERO_FLAG = 1;

/** Guest clusters stored one after another on cluster boundaries. */
export interface StandardRun {
  readonly firstCluster: number;
  readonly count: number;
  readonly hostOffset: number;
  /** Bit i says that subcluster i of each cluster holds data. */
  readonly allocationBitmap: number;
  /** Bit i says that subcluster i of each cluster is zeros. */
  readonly zeroBitmap: number;
}

/** Fills L2 tables in ascending guest order, writing each when the next begins. */
export interface L2Writer {
  setStandard(run: StandardRun): Promise<void>;
  /** Maps clusters that are zeros and have no space. Version 3 only. */
  setZero(firstCluster: number, count: number): Promise<void>;
  /** Maps a compressed cluster of `length` stored bytes. */
  setCompressed(cluster: number, hostOffset: number, length: number): Promise<void>;
  /** Writes the last L2 table, then the L1 table; its offset is 0 when the disk is empty. */
  finish(): Promise<{ readonly l1TableOffset: number; readonly l1Size: number }>;
}

/** A writer whose tables go to `appender`. Keeps one L2 table and the L1 table in memory. */
export function l2Writer(appender: TableAppender, geometry: ClusterGeometry, virtualSize: number): L2Writer {
  const { clusterSize, l2Entries } = geometry;
  const entrySize = geometry.entryWords * 4;
  const l1Size = neededL1Entries(virtualSize, geometry);
  const l1 = new DataView(new ArrayBuffer(alignUp(l1Size * 8, clusterSize)));
  const table = new DataView(new ArrayBuffer(clusterSize));
  let l1Index = -1;

  const writeTable = async (): Promise<void> => {
    if (l1Index < 0) return;
    const bytes = new Uint8Array(table.buffer);
    setEntry(l1, l1Index * 8, standardEntry(await appender.append(bytes)));
    bytes.fill(0);
  };

  const openTable = async (cluster: number): Promise<void> => {
    const index = Math.floor(cluster / l2Entries);
    assert(index >= l1Index && index < l1Size, 'clusters are mapped in ascending order, inside the disk');
    if (index === l1Index) return;
    await writeTable();
    l1Index = index;
  };

  return {
    async setStandard(run) {
      for (let done = 0; done < run.count;) {
        await openTable(run.firstCluster + done);
        const index = run.firstCluster + done - l1Index * l2Entries;
        const count = Math.min(run.count - done, l2Entries - index);
        for (let i = 0; i < count; i++) {
          const at = (index + i) * entrySize;
          setEntry(table, at, standardEntry(run.hostOffset + (done + i) * clusterSize));
          if (!geometry.extendedL2) continue;
          table.setUint32(at + 8, run.zeroBitmap);
          table.setUint32(at + 12, run.allocationBitmap);
        }
        done += count;
      }
    },
    async setZero(firstCluster, count) {
      for (let cluster = firstCluster; cluster < firstCluster + count; cluster++) {
        await openTable(cluster);
        const at = (cluster - l1Index * l2Entries) * entrySize;
        if (geometry.extendedL2) table.setUint32(at + 8, ALL_SUBCLUSTERS);
        else table.setUint32(at + 4, ZERO_FLAG);
      }
    },
    async setCompressed(cluster, hostOffset, length) {
      await openTable(cluster);
      const at = (cluster - l1Index * l2Entries) * entrySize;
      setEntry(table, at, compressedEntry(hostOffset, length, geometry.clusterBits));
    },
    async finish() {
      await writeTable();
      return { l1TableOffset: l1Size === 0 ? 0 : await appender.append(new Uint8Array(l1.buffer)), l1Size };
    },
  };
}

function setEntry(view: DataView, at: number, entry: { readonly high: number; readonly low: number }): void {
  view.setUint32(at, entry.high);
  view.setUint32(at + 4, entry.low);
}
