import type { ByteSource } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import type { L1Table } from './l1-table.ts';
import { l2TableOffset } from './l1-table.ts';
import { L2_CACHE_SIZE } from './limits.ts';
import type { TablePlace, TableWords } from './table-words.ts';
import { readTableInto, readTableWords } from './table-words.ts';

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
  /**
   * For one who looks at many tables, each only until it asks for the next: those that have no room in memory are all read
   * into the same place. Throws as `load`.
   */
  walk(): (index: number) => Promise<L2Table>;
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
  const cached = (index: number): L2Table | undefined => {
    if (index === lastIndex) return lastTable;
    const table = tables.get(index);
    return table === undefined ? undefined : remember(index, table);
  };
  const placeOf = (index: number): TableAt | undefined => {
    const hostOffset = l2TableOffset(l1, index, geometry);
    // Zeros say that nothing is allocated: a sparse file may have terabytes of such tables, none worth reading.
    if (hostOffset === 0 || isHole(hostOffset, geometry.clusterSize)) return undefined;
    return { hostOffset, guestOffset: index * geometry.l2Coverage };
  };
  return {
    cached,
    async load(index, signal) {
      const place = placeOf(index);
      return place === undefined ? UNALLOCATED : remember(index, await readL2Table(source, place, geometry, signal));
    },
    walk() {
      let spare: TableWords | undefined;
      return async (index) => {
        const kept = cached(index);
        if (kept !== undefined) return kept;
        const place = placeOf(index);
        if (place === undefined) return UNALLOCATED;
        if (tables.size < maxTables) return remember(index, await readL2Table(source, place, geometry));
        spare ??= new Uint32Array(geometry.clusterSize / 4);
        return { words: await readTableInto(spare, source, tableArea(place, geometry)), ...place };
      };
    },
    nextAllocated(index, end) {
      let next = index;
      while (next < end && l1.words[next * 2] === 0 && l1.words[next * 2 + 1] === 0) next++;
      return next;
    },
  };
}

/** Where a table lies, and what it describes. */
type TableAt = Pick<L2Table, 'hostOffset' | 'guestOffset'>;

/** The L2 table at `hostOffset`: one cluster. Throws `truncated`. qcow2 specification, "Cluster mapping". */
export async function readL2Table(
  source: ByteSource,
  place: TableAt,
  geometry: ClusterGeometry,
  signal?: AbortSignal,
): Promise<L2Table> {
  return { words: await readTableWords(source, tableArea(place, geometry), signal), ...place };
}

function tableArea({ hostOffset }: TableAt, geometry: ClusterGeometry): TablePlace {
  return { structure: 'L2 table', hostOffset, sizeBytes: geometry.clusterSize };
}
