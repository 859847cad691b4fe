import { MAX_CHECK_MEMORY } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

const PAGE_COUNTS = 65536;
const MAX_PAGES = MAX_CHECK_MEMORY / (PAGE_COUNTS * 4);

/** A counter for each host cluster, kept only where there is something to count. */
export interface ReferenceCounts {
  get(cluster: number): number;
  set(cluster: number, count: number): void;
  /** Adds one, stopping at 2^32 - 1. Throws `unsupported` when the counters outgrow `MAX_CHECK_MEMORY`. */
  increment(cluster: number): void;
  /** The cluster after the last one with a counter that was ever above 0. */
  readonly end: number;
}

/** Counters that are all 0. */
export function referenceCounts(): ReferenceCounts {
  const pages = new Map<number, Uint32Array>();
  let end = 0;
  const pageOf = (cluster: number): Uint32Array => {
    const index = Math.floor(cluster / PAGE_COUNTS);
    let page = pages.get(index);
    if (page === undefined) {
      if (pages.size >= MAX_PAGES) {
        throw qcow2Error('unsupported', 'The image has too many clusters in use to be checked in bounded memory', {
          structure: 'refcounts',
        });
      }
      page = new Uint32Array(PAGE_COUNTS);
      pages.set(index, page);
    }
    return page;
  };
  return {
    get: (cluster) => pages.get(Math.floor(cluster / PAGE_COUNTS))?.[cluster % PAGE_COUNTS] ?? 0,
    set(cluster, count) {
      const page = pages.get(Math.floor(cluster / PAGE_COUNTS));
      if (page !== undefined) page[cluster % PAGE_COUNTS] = count;
    },
    increment(cluster) {
      const page = pageOf(cluster);
      page[cluster % PAGE_COUNTS] = Math.min((page[cluster % PAGE_COUNTS] ?? 0) + 1, 0xffffffff);
      end = Math.max(end, cluster + 1);
    },
    get end() {
      return end;
    },
  };
}
