import type { ByteSource } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import type { L1Table } from './l1-table.ts';
import { l2TableOffset } from './l1-table.ts';
import { L2_CACHE_SIZE } from './limits.ts';
import type { TableWords } from './table-words.ts';
import { readTableWords } from './table-words.ts';

/** An L2 table in memory. Without words it is unallocated: so is every cluster that it describes. */
export interface L2Table {
  readonly words: TableWords;
  readonly hostOffset: number;
  /** The first guest byte that it describes. */
  readonly guestOffset: number;
}

/** The L2 tables below one L1 table, the recently used ones kept in memory. */
export interface L2Tables {
  /** The table of L1 entry `index` when it is at hand, without reading. */
  cached(index: number): L2Table | undefined;
  /** The table of L1 entry `index`. Throws `corrupt` or `truncated` for a bad entry. */
  load(index: number, signal?: AbortSignal): Promise<L2Table>;
  /** The first L1 entry from `index` on that has a table, or `end`. */
  nextAllocated(index: number, end: number): number;
}

const UNALLOCATED: L2Table = { words: new Uint32Array(0), hostOffset: 0, guestOffset: 0 };

/** Tables of `source`, at most `L2_CACHE_SIZE` bytes of them in memory (but always two), the least recently used leaving first. */
export function l2Tables(source: ByteSource, l1: L1Table, geometry: ClusterGeometry): L2Tables {
  const maxTables = Math.max(2, Math.floor(L2_CACHE_SIZE / geometry.clusterSize));
  const tables = new Map<number, L2Table>();
  const isHole = holeTest(source);
  let lastIndex = -1;
  let lastTable = UNALLOCATED;
  const remember = (index: number, table: L2Table): L2Table => {
    tables.delete(index);
    tables.set(index, table);
    if (tables.size > maxTables) {
      const oldest = tables.keys().next();
      if (oldest.done !== true) tables.delete(oldest.value);
    }
    lastIndex = index;
    lastTable = table;
    return table;
  };
  return {
    cached(index) {
      if (index === lastIndex) return lastTable;
      const table = tables.get(index);
      return table === undefined ? undefined : remember(index, table);
    },
    async load(index, signal) {
      const hostOffset = l2TableOffset(l1, index, geometry);
      if (hostOffset === 0) return UNALLOCATED;
      // Zeros say that nothing is allocated: a sparse file may have terabytes of such tables, none worth reading.
      if (isHole(hostOffset, geometry.clusterSize)) return UNALLOCATED;
      const place = { hostOffset, guestOffset: index * geometry.l2Coverage };
      return remember(index, await readL2Table(source, place, geometry, signal));
    },
    nextAllocated(index, end) {
      let next = index;
      while (next < end && l1.words[next * 2] === 0 && l1.words[next * 2 + 1] === 0) next++;
      return next;
    },
  };
}

/** The L2 table at `hostOffset`: one cluster. Throws `truncated`. qcow2 specification, "Cluster mapping". */
export async function readL2Table(
  source: ByteSource,
  place: { readonly hostOffset: number; readonly guestOffset: number },
  geometry: ClusterGeometry,
  signal?: AbortSignal,
): Promise<L2Table> {
  const { hostOffset } = place;
  const area = { structure: 'L2 table', hostOffset, sizeBytes: geometry.clusterSize };
  return { words: await readTableWords(source, area, signal), ...place };
}
