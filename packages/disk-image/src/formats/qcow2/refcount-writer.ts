import { alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import { refcountClusters } from './metadata-size.ts';
import { incrementRefcount, refcountBlockEntries } from './refcount-block.ts';
import type { TableAppender } from './table-appender.ts';

/** Counts references in ascending order of their clusters, writing each refcount block as soon as it is full. */
export interface RefcountWriter {
  /** Counts one reference to each cluster that holds a byte of the range. Ranges ascend; they may share a cluster. */
  add(hostOffset: number, length: number): Promise<void>;
  /**
   * Counts everything from `metadataStart` on, which the appender wrote, once; then writes the last blocks and the
   * refcount table, themselves counted. Nothing is appended afterwards.
   */
  finish(metadataStart: number): Promise<{ readonly tableOffset: number; readonly tableClusters: number }>;
}

/** A writer whose blocks go to `appender`. Keeps one block and the refcount table in memory. */
export function refcountWriter(appender: TableAppender, clusterSize: number, refcountOrder: number): RefcountWriter {
  const entries = refcountBlockEntries(clusterSize, refcountOrder);
  const block = new Uint8Array(clusterSize);
  const blockOffsets: number[] = [];

  const writeBlock = async (): Promise<void> => {
    blockOffsets.push(await appender.append(block));
    block.fill(0);
  };

  const add = async (hostOffset: number, length: number): Promise<void> => {
    const end = Math.ceil((hostOffset + length) / clusterSize);
    for (let cluster = Math.floor(hostOffset / clusterSize); cluster < end; cluster++) {
      while (cluster >= (blockOffsets.length + 1) * entries) await writeBlock();
      const index = cluster - blockOffsets.length * entries;
      assert(index >= 0, 'references are counted in ascending order');
      incrementRefcount(block, index, refcountOrder);
    }
  };

  const encodeTable = (): Uint8Array => {
    const table = new Uint8Array(alignUp(blockOffsets.length * 8, clusterSize));
    const view = new DataView(table.buffer);
    for (const [index, offset] of blockOffsets.entries()) view.setBigUint64(index * 8, BigInt(offset));
    return table;
  };

  return {
    add,
    async finish(metadataStart) {
      const counted = appender.position / clusterSize;
      const written = blockOffsets.length;
      const { blocks, table } = refcountClusters(counted, { clusterSize, refcountOrder, written });
      const end = (counted + blocks - written + table) * clusterSize;
      await add(metadataStart, end - metadataStart);
      await writeBlock();
      assert(blockOffsets.length === blocks, 'the refcount blocks cover the whole file');
      const tableOffset = await appender.append(encodeTable());
      assert(appender.position === end, 'the refcount table ends the file');
      return { tableOffset, tableClusters: table };
    },
  };
}
