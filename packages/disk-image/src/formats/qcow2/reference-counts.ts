import { MAX_CHECK_MEMORY } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

const PAGE_COUNTS = 65536;

/** A counter for each host cluster, kept only where there is something to count. */
export interface ReferenceCounts {
  get(cluster: number): number;
  set(cluster: number, count: number): void;
  /** Adds `count`, stopping at 2^32 - 1. Throws `unsupported` when the counters outgrow `MAX_CHECK_MEMORY`. */
  add(cluster: number, count: number): void;
  /** The first cluster at or after `cluster` that may have a counter above 0, or `end`. */
  nextCounted(cluster: number, end: number): number;
  /** The cluster after the last one with a counter that was ever above 0. */
  readonly end: number;
}

/** Few clusters are used more than once; a page gets wide counters when one is used very often. */
type Page = Uint8Array | Uint32Array;

/** Counters that are all 0. */
export function referenceCounts(): ReferenceCounts {
  const pages = new Map<number, Page>();
  let bytes = 0;
  let end = 0;
  const keep = (index: number, page: Page): Page => {
    bytes += page.byteLength - (pages.get(index)?.byteLength ?? 0);
    if (bytes > MAX_CHECK_MEMORY) {
      throw qcow2Error('unsupported', 'The image has too many clusters in use to be checked in bounded memory', {
        structure: 'refcounts',
      });
    }
    pages.set(index, page);
    return page;
  };
  const store = (index: number, page: Page, at: number, count: number): void => {
    const kept = count > 0xff && page instanceof Uint8Array ? keep(index, Uint32Array.from(page)) : page;
    kept[at] = Math.min(count, 0xffffffff);
  };
  return {
    get: (cluster) => pages.get(Math.floor(cluster / PAGE_COUNTS))?.[cluster % PAGE_COUNTS] ?? 0,
    set(cluster, count) {
      const index = Math.floor(cluster / PAGE_COUNTS);
      const page = pages.get(index);
      if (page !== undefined) store(index, page, cluster % PAGE_COUNTS, count);
    },
    add(cluster, count) {
      const index = Math.floor(cluster / PAGE_COUNTS);
      const page = pages.get(index) ?? keep(index, new Uint8Array(PAGE_COUNTS));
      const at = cluster % PAGE_COUNTS;
      store(index, page, at, (page[at] ?? 0) + count);
      end = Math.max(end, cluster + 1);
    },
    nextCounted(cluster, limit) {
      let next = cluster;
      while (next < limit && !pages.has(Math.floor(next / PAGE_COUNTS))) {
        next = (Math.floor(next / PAGE_COUNTS) + 1) * PAGE_COUNTS;
      }
      return Math.min(next, limit);
    },
    get end() {
      return end;
    },
  };
}
