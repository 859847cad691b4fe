import { alignUp } from '../../../bytes/numbers.ts';
import { MAX_FREED_RUNS } from '../limits.ts';
import type { AllocationHints, EditedImage } from './edited-image.ts';
import { readEdited } from './edited-image.ts';
import type { HeaderChange } from './header-switch.ts';
import { switchHeader } from './header-switch.ts';
import type { ShadowOptions, ShadowRefcounts } from './shadow-refcounts.ts';
import { shadowRefcounts } from './shadow-refcounts.ts';

/**
 * One change of an image. Tables are never written where they are in use: changed ones get a free place, and `commit`
 * makes them valid by a single write of the header. Until then the file is the old image, afterwards the new one.
 */
export interface Transaction {
  readonly image: EditedImage;
  /** The refcount of the cluster at `hostOffset` in the next state; a promise when its block must be read first. */
  refcount(hostOffset: number): number | Promise<number>;
  /** Adds a reference to each cluster of the range, or takes one away; undefined when that is done at once. */
  change(hostOffset: number, length: number, by: 1 | -1): Promise<void> | undefined;
  /** Sets the refcount of the cluster at `hostOffset`, whatever it was. */
  setRefcount(hostOffset: number, value: number): Promise<void>;
  /** A place for `length` bytes, rounded up to clusters that follow each other, each with a refcount of 1. */
  allocate(length: number): Promise<number>;
  /**
   * Writes refcounts, then the header; gives freed space back afterwards. Returns the image as it is then.
   * The transaction is over.
   */
  commit(change: HeaderChange): Promise<EditedImage>;
}

/** A change of `image` that has changed nothing yet. */
export async function transaction(image: EditedImage, options: ShadowOptions = {}): Promise<Transaction> {
  const { clusterSize } = image.metadata.geometry;
  const refcounts = await shadowRefcounts(image, options);
  const freed = freedClusters();
  const isRenewed = options.refcountOrder !== undefined;
  let isChanged = isRenewed;
  if (isRenewed) await refcounts.renewBlocks(Math.ceil(image.file.source.size / clusterSize));

  const changeRest = async (cluster: number, end: number, by: 1 | -1): Promise<void> => {
    for (let next = cluster; next < end; next++) await refcounts.change(next, by);
  };

  const change = (hostOffset: number, length: number, by: 1 | -1): Promise<void> | undefined => {
    isChanged = true;
    const end = Math.ceil((hostOffset + length) / clusterSize);
    const start = Math.floor(hostOffset / clusterSize);
    if (by === -1) freed.add(start, end);
    for (let cluster = start; cluster < end; cluster++) {
      const pending = refcounts.change(cluster, by);
      if (pending !== undefined) return pending.then(() => changeRest(cluster + 1, end, by));
    }
    return undefined;
  };

  const allocate = async (length: number): Promise<number> => {
    const count = Math.ceil(length / clusterSize);
    if (count === 0) return 0;
    const start = await findFree(refcounts, image.allocation, count);
    await change(start * clusterSize, count * clusterSize, 1);
    return start * clusterSize;
  };

  return {
    image,
    refcount: (hostOffset) => refcounts.get(Math.floor(hostOffset / clusterSize)),
    change,
    async setRefcount(hostOffset, value) {
      isChanged = true;
      const cluster = Math.floor(hostOffset / clusterSize);
      if (value === 0) freed.add(cluster, cluster + 1);
      await refcounts.set(cluster, value);
    },
    allocate,
    async commit(headerChange) {
      const fields = isChanged ? await writeRefcounts({ image, refcounts, change, allocate }) : {};
      await switchHeader(image, { ...headerChange, fields: { ...headerChange.fields, ...fields } });
      if (isChanged && image.allocation.trusted) await releaseSpace(image, refcounts, freed);
      return { ...(await readEdited(image.file)), allocation: image.allocation };
    },
  };
}

/** The first of `count` free clusters that follow each other. */
async function findFree(refcounts: ShadowRefcounts, hints: AllocationHints, count: number): Promise<number> {
  let found = 0;
  for (let cluster = count === 1 ? hints.single : hints.run; ; cluster++) {
    const free = refcounts.isFree(cluster);
    found = (typeof free === 'boolean' ? free : await free) ? found + 1 : 0;
    if (found < count) continue;
    if (count === 1) hints.single = cluster + 1;
    else hints.run = cluster + 1;
    return cluster + 1 - count;
  }
}

interface RefcountWork {
  readonly image: EditedImage;
  readonly refcounts: ShadowRefcounts;
  readonly change: Transaction['change'];
  readonly allocate: Transaction['allocate'];
}

/** Places changed blocks until placing them changes no more; then a new table. */
async function writeRefcounts(
  work: RefcountWork,
): Promise<{ readonly refcountTableOffset: number; readonly refcountTableClusters: number }> {
  const { image, refcounts } = work;
  const { header, geometry } = image.metadata;
  const { clusterSize } = geometry;
  await work.change(header.refcountTableOffset, header.refcountTableClusters * clusterSize, -1);
  let length = 0;
  let tableOffset = 0;
  for (;;) {
    while (await refcounts.placeBlocks(() => work.allocate(clusterSize)));
    const needed = alignUp(refcounts.tableEntries * 8, clusterSize);
    if (needed <= length) break;
    if (length > 0) await work.change(tableOffset, length, -1);
    tableOffset = await work.allocate(needed);
    length = needed;
  }
  const table = await refcounts.write(length);
  await image.file.sink.write(tableOffset, table);
  return { refcountTableOffset: tableOffset, refcountTableClusters: length / clusterSize };
}

/** Runs of clusters that lost a reference; some may still have others. */
interface FreedClusters {
  add(start: number, end: number): void;
  runs(): readonly { readonly start: number; readonly end: number }[];
}

function freedClusters(): FreedClusters {
  const runs: { start: number; end: number }[] = [];
  return {
    add(start, end) {
      const last = runs.at(-1);
      if (last !== undefined && start <= last.end && end >= last.end) last.end = end;
      else if (runs.length < MAX_FREED_RUNS) runs.push({ start, end });
    },
    runs: () => runs,
  };
}

/** Punches holes where nothing is any more and cuts the file behind the last cluster in use. Nothing refers there. */
async function releaseSpace(image: EditedImage, refcounts: ShadowRefcounts, freed: FreedClusters): Promise<void> {
  const { clusterSize } = image.metadata.geometry;
  const { source, sink } = image.file;
  let fileEnd = Math.ceil(source.size / clusterSize);
  while (fileEnd > 1 && (await refcounts.get(fileEnd - 1)) === 0) fileEnd--;
  if (fileEnd * clusterSize < source.size) await sink.truncate(fileEnd * clusterSize);
  for (const run of freed.runs()) {
    let start = run.start;
    for (let cluster = run.start; cluster <= Math.min(run.end, fileEnd); cluster++) {
      const isFree = cluster < Math.min(run.end, fileEnd) && (await refcounts.get(cluster)) === 0;
      if (isFree) {
        image.allocation.single = Math.min(image.allocation.single, cluster);
        continue;
      }
      if (cluster > start) await sink.zero(start * clusterSize, (cluster - start) * clusterSize);
      start = cluster + 1;
    }
  }
}
