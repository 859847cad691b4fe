import { alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { FinishContext, PlacedRun } from '../../image/target.ts';
import type { CreateOptions } from './create-options.ts';
import type { Qcow2Header } from './header.ts';
import { headerCluster } from './header-cluster.ts';
import type { L2Writer } from './l2-writer.ts';
import { l2Writer } from './l2-writer.ts';
import type { RefcountWriter } from './refcount-writer.ts';
import { refcountWriter } from './refcount-writer.ts';
import type { TableAppender } from './table-appender.ts';
import { tableAppender } from './table-appender.ts';
import { checkRefcountTable, layoutGeometry, layoutOptions, newHeader } from './target-layout.ts';
import { COMPRESSED_DETAIL } from './unit-encoder.ts';

const ALL_SUBCLUSTERS = 0xffffffff;

/**
 * Writes the L2 tables behind the guest data as the runs come, refcount blocks between them, then the L1 table and the
 * refcount table, all flushed before the header. Throws `out_of_bounds` when refcounts of this width cannot cover the file. Memory: the L1 table, the refcount table, a table of each other kind.
 */
export async function finishQcow2(context: FinishContext): Promise<void> {
  const { layout } = context;
  const sink = context.sinks[0];
  assert(sink !== undefined, 'a qcow2 image has a file of its own');
  const options = layoutOptions(layout);
  const geometry = layoutGeometry(layout);
  const { clusterSize } = geometry;
  const metadataStart = dataEnd(context, clusterSize);
  const appender = tableAppender(sink, metadataStart, clusterSize);
  const tables: Tables = {
    appender,
    l2: l2Writer(appender, geometry, layout.virtualSize),
    refcounts: refcountWriter(appender, clusterSize, options.refcountOrder),
    clusterSize,
    clusterCount: Math.ceil(layout.virtualSize / clusterSize),
    isOverlay: layout.overlay !== undefined,
  };
  await tables.refcounts.add(0, clusterSize);
  const dataSink = context.sinks[1];
  if (dataSink !== undefined) {
    await mapDataFile(tables);
    await dataSink.truncate(layout.virtualSize);
    await dataSink.flush();
  } else if (options.preallocation === 'metadata') await mapFixed(tables);
  else await mapRuns(tables, context.runs, options);
  const { l1TableOffset, l1Size } = await tables.l2.finish();
  const { tableOffset, tableClusters } = await tables.refcounts.finish(metadataStart);
  checkRefcountTable(options, tableClusters, `The data of ${appender.position} bytes`);
  await appender.flush();
  await sink.truncate(appender.position);
  await sink.flush();
  const header: Qcow2Header = {
    ...newHeader(options, layout.virtualSize),
    l1TableOffset,
    l1Size,
    refcountTableOffset: tableOffset,
    refcountTableClusters: tableClusters,
  };
  await sink.write(0, headerCluster(header, { backing: layout.overlay?.backing, dataFile: options.dataFile }));
  await sink.flush();
}

interface Tables {
  readonly appender: TableAppender;
  readonly l2: L2Writer;
  readonly refcounts: RefcountWriter;
  readonly clusterSize: number;
  /** Guest clusters of the disk. */
  readonly clusterCount: number;
  readonly isOverlay: boolean;
}

function dataEnd(context: FinishContext, clusterSize: number): number {
  const { layout, ends } = context;
  const [own, data] = layout.files;
  if (data !== undefined) return clusterSize;
  const fixed = own?.placement === 'fixed';
  return alignUp(fixed ? clusterSize + layout.virtualSize : Math.max(ends[0] ?? 0, clusterSize), clusterSize);
}

async function mapFixed(tables: Tables): Promise<void> {
  const { clusterSize, clusterCount } = tables;
  const bitmaps = emptyClusterBitmaps(tables);
  await tables.l2.setStandard({ firstCluster: 0, count: clusterCount, hostOffset: clusterSize, ...bitmaps });
  await tables.refcounts.add(clusterSize, clusterCount * clusterSize);
}

/** Every cluster at its own offset in the data file, whose clusters are not counted. */
async function mapDataFile({ l2, clusterCount: count }: Tables): Promise<void> {
  await l2.setStandard({ firstCluster: 0, count, hostOffset: 0, allocationBitmap: ALL_SUBCLUSTERS, zeroBitmap: 0 });
}

/** A preallocated cluster without data: zeros, or in an overlay nothing, so that the backing image shows. */
function emptyClusterBitmaps(tables: Tables): { readonly allocationBitmap: number; readonly zeroBitmap: number } {
  return { allocationBitmap: tables.isOverlay ? 0 : ALL_SUBCLUSTERS, zeroBitmap: 0 };
}

async function mapRuns(
  tables: Tables,
  runs: AsyncIterable<readonly PlacedRun[]>,
  options: CreateOptions,
): Promise<void> {
  const fillGap = options.preallocation === 'full' ? zeroFiller(tables) : undefined;
  let next = 0;
  for await (const batch of runs) {
    for (const run of batch) {
      const first = run.guestOffset / tables.clusterSize;
      await fillGap?.(next, first);
      await mapRun(tables, first, run);
      next = first + run.unitCount;
    }
  }
  await fillGap?.(next, tables.clusterCount);
}

async function mapRun(tables: Tables, first: number, run: PlacedRun): Promise<void> {
  if (run.storedLength === 0) {
    await tables.l2.setZero(first, run.unitCount);
    return;
  }
  if (run.detail === COMPRESSED_DETAIL) {
    assert(run.unitCount === 1, 'a compressed cluster is a run of its own');
    await tables.l2.setCompressed(first, run.hostOffset, run.storedLength);
    await tables.refcounts.add(run.hostOffset, run.storedLength);
    return;
  }
  const { unitCount: count, hostOffset, detail: allocationBitmap } = run;
  const zeroBitmap = tables.isOverlay ? ~allocationBitmap >>> 0 : 0;
  await tables.l2.setStandard({ firstCluster: first, count, hostOffset, allocationBitmap, zeroBitmap });
  await tables.refcounts.add(run.hostOffset, run.unitCount * tables.clusterSize);
}

/** Gives guest clusters that no run stored clusters of zeros among the tables, where everything has one reference. */
function zeroFiller(tables: Tables): (first: number, end: number) => Promise<void> {
  const zeros = new Uint8Array(tables.clusterSize);
  return async (first, end) => {
    for (let cluster = first; cluster < end; cluster++) {
      const hostOffset = await tables.appender.append(zeros);
      await tables.l2.setStandard({
        firstCluster: cluster,
        count: 1,
        hostOffset,
        ...emptyClusterBitmaps(tables),
      });
    }
  };
}
