import { assert } from '../../../errors.ts';
import type { WriteRecorder } from './bitmap-recorder.ts';
import type { EditedImage } from './edited-image.ts';
import type { Transaction } from './transaction.ts';
import { transaction } from './transaction.ts';

/** Bytes of clusters that are taken at a time. */
const POOL_SIZE = 16 * 2 ** 20;
const MIN_POOL_CLUSTERS = 256;

/** Host bytes that were in use. */
export interface DroppedSpan {
  readonly hostOffset: number;
  readonly length: number;
}

/**
 * Clusters that the refcounts count already and that nothing refers to yet: they may be written and then referred to.
 * A crash leaves them as leaks.
 */
export interface ClusterPool {
  /** Clusters that are left. */
  readonly remaining: number;
  /** The next cluster; those taken one after another mostly follow each other. */
  take(): number;
  /**
   * Counts `dropped` as free and fills the pool, with `least` clusters or more, in one switch of the header, which also
   * opens the recorder. Nothing refers to `dropped` any more.
   */
  refill(dropped: readonly DroppedSpan[], least: number): Promise<void>;
  /** Counts `dropped` and what is left as free, and closes the recorder, in one switch of the header. */
  close(dropped: readonly DroppedSpan[]): Promise<void>;
}

/** A pool that is empty. Before anything can be taken from it, `recorder` is open. */
export function clusterPool(image: EditedImage, recorder: WriteRecorder): ClusterPool {
  const { clusterSize } = image.metadata.geometry;
  const size = Math.max(MIN_POOL_CLUSTERS, Math.ceil(POOL_SIZE / clusterSize));
  let current = image;
  let next = 0;
  let end = 0;

  const settle = async (dropped: readonly DroppedSpan[], least: number): Promise<void> => {
    const keep = least > 0 ? 'refill' : 'close';
    const isIdle = keep === 'close' && dropped.length === 0 && next === end && !recorder.isOpen;
    if (isIdle) return;
    const change = await transaction(current);
    for (const span of dropped) await change.change(span.hostOffset, span.length, -1);
    // What is left goes back, so that the pool is one run of clusters.
    if (next < end) await change.change(next, end - next, -1);
    const taken = keep === 'refill' ? await takeRun(change, { wanted: Math.max(size, least), least }) : NOTHING;
    next = taken.start;
    end = taken.end;
    current = await change.commit(await recorder.settle(change, keep));
  };

  return {
    get remaining() {
      return (end - next) / clusterSize;
    },
    take() {
      assert(next < end, 'a pool is refilled before it is empty');
      next += clusterSize;
      return next - clusterSize;
    },
    refill: (dropped, least) => settle(dropped, least),
    close: (dropped) => settle(dropped, 0),
  };
}

const NOTHING = { start: 0, end: 0 };
/** Clusters of a device that are left for the tables which count a pool. */
const ROOM_FOR_TABLES = 8;

/** A run of free clusters; on a device whose end is near fewer than wanted, down to `least`. */
async function takeRun(
  change: Transaction,
  clusters: { readonly wanted: number; readonly least: number },
): Promise<{ readonly start: number; readonly end: number }> {
  const { allocation, file, metadata } = change.image;
  const { clusterSize } = metadata.geometry;
  const { deviceSize = Infinity } = file.sink;
  const from = allocation.run;
  for (let count = clusters.wanted; ; count = Math.max(clusters.least, Math.floor(count / 2))) {
    const start = await change.allocate(count * clusterSize);
    const end = start + count * clusterSize;
    if (count === clusters.least || end + ROOM_FOR_TABLES * clusterSize <= deviceSize) return { start, end };
    await change.change(start, end - start, -1);
    allocation.run = from;
  }
}
