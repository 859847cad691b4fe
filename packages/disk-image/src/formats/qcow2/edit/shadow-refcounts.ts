import { assert } from '../../../errors.ts';
import { readBytes } from '../../../bytes/byte-source.ts';
import { MAX_COUNTED_BEHIND_END, MAX_REFCOUNT_TABLE_SIZE, REFCOUNT_CACHE_SIZE } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { maxRefcount, readRefcount, refcountBlockEntries, writeRefcount } from '../refcount-block.ts';
import { readTableWords } from '../table-words.ts';
import type { EditedImage } from './edited-image.ts';

/**
 * The refcounts of the next state of an image. Blocks that change get a new place, which nothing refers to until the
 * header names the new refcount table: the file's own refcounts stay as they are until then.
 */
export interface ShadowRefcounts {
  /** The refcount of a cluster in the next state; a promise when its block must be read first. */
  get(cluster: number): number | Promise<number>;
  /**
   * Adds 1 or -1; undefined when that is done at once, else a promise. Throws `corrupt` below 0 and `unsupported`
   * above what the width of the refcounts can count.
   */
  change(cluster: number, by: 1 | -1): Promise<void> | undefined;
  /** Sets a refcount. Throws `unsupported` above what the width can count. */
  set(cluster: number, value: number): Promise<void>;
  /** Gives a new place to every block that covers one of the first `clusters` clusters and is not empty. */
  renewBlocks(clusters: number): Promise<void>;
  /** True when the cluster is free in the file as it is and in the next state: it may be written. */
  isFree(cluster: number): boolean | Promise<boolean>;
  /** Entries of the refcount table up to the last block that there is, blocks without a place included. */
  readonly tableEntries: number;
  /** Gives every changed block a place by `allocate`, which counts the cluster by `change`. True when there were any. */
  placeBlocks(allocate: () => Promise<number>): Promise<boolean>;
  /** Writes what is not written and returns the refcount table of `length` bytes. All blocks are placed. */
  write(length: number): Promise<Uint8Array>;
}

interface Block {
  readonly index: number;
  readonly bytes: Uint8Array;
  /** True when `bytes` are not those of the block's place. */
  unsaved: boolean;
}

/** How the next refcounts begin. */
export interface ShadowOptions {
  /** The offsets of the present blocks; read from the refcount table when not given. */
  readonly blockOffsets?: Float64Array;
  /** Another width: every block must be renewed, and the caller frees the present ones. */
  readonly refcountOrder?: number;
}

/** The refcounts of `image`, nothing changed yet. Throws `corrupt` or `truncated` for a damaged refcount table. */
export async function shadowRefcounts(image: EditedImage, options: ShadowOptions = {}): Promise<ShadowRefcounts> {
  const { header, geometry } = image.metadata;
  const { clusterSize } = geometry;
  const { source, sink } = image.file;
  const order = options.refcountOrder ?? header.refcountOrder;
  const isWidthKept = order === header.refcountOrder;
  const oldEntries = refcountBlockEntries(clusterSize, header.refcountOrder);
  const entries = refcountBlockEntries(clusterSize, order);
  const maximum = maxRefcount(order);
  const maxBlocks = Math.max(16, Math.floor(REFCOUNT_CACHE_SIZE / clusterSize));
  const old = options.blockOffsets ?? (await readBlockOffsets(image));
  const places = new Map<number, number>();
  const unplaced = new Set<number>();
  const blocks = new Map<number, Block>();
  const oldBlocks = new Map<number, Uint8Array>();
  let tableEntries = isWidthKept ? old.length : 0;
  let last: Block | undefined;

  const save = async (block: Block): Promise<void> => {
    const place = places.get(block.index);
    assert(place !== undefined, 'a changed refcount block has a place');
    await sink.write(place, block.bytes);
    block.unsaved = false;
  };

  // Blocks without a place stay: giving them one changes other blocks.
  const shrinkCache = async (): Promise<void> => {
    if (blocks.size <= maxBlocks) return;
    for (const block of blocks.values()) {
      if (unplaced.has(block.index)) continue;
      if (block.unsaved) await save(block);
      blocks.delete(block.index);
      if (last === block) last = undefined;
      if (blocks.size <= maxBlocks / 2) return;
    }
  };

  const readBlock = async (place: number): Promise<Uint8Array> =>
    place === 0 ? new Uint8Array(clusterSize) : readBytes(source, place, clusterSize);

  const converted = async (index: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(clusterSize);
    const end = Math.min((index + 1) * entries, old.length * oldEntries);
    for (let cluster = index * entries; cluster < end; cluster++) {
      const value = await oldRefcount(cluster);
      if (value > maximum) throw tooManyReferences(order);
      writeRefcount(bytes, cluster % entries, order, value);
    }
    return bytes;
  };

  const load = async (index: number): Promise<Block> => {
    const known = blocks.get(index);
    if (known !== undefined) return (last = known);
    await shrinkCache();
    const place = places.get(index) ?? (isWidthKept ? (old[index] ?? 0) : undefined);
    const bytes = place === undefined ? await converted(index) : await readBlock(place);
    const block = { index, bytes, unsaved: false };
    blocks.set(index, block);
    return (last = block);
  };

  const loaded = (index: number): Block | undefined => (last?.index === index ? last : blocks.get(index));

  const add = (block: Block, cluster: number, by: 1 | -1): void => {
    const value = readRefcount(block.bytes, cluster % entries, order) + by;
    if (value < 0) throw wrongCount(cluster, clusterSize);
    set(block, cluster, value);
  };

  const set = (block: Block, cluster: number, value: number): void => {
    if (value > maximum) throw tooManyReferences(order);
    writeRefcount(block.bytes, cluster % entries, order, value);
    markChanged(block);
  };

  const markChanged = (block: Block): void => {
    block.unsaved = true;
    if (!places.has(block.index)) unplaced.add(block.index);
    tableEntries = Math.max(tableEntries, block.index + 1);
    if (tableEntries * 8 > MAX_REFCOUNT_TABLE_SIZE) throw tableTooLarge();
  };

  const oldRefcount = async (cluster: number): Promise<number> => {
    const index = Math.floor(cluster / oldEntries);
    const place = old[index] ?? 0;
    if (place === 0) return 0;
    let bytes = oldBlocks.get(index);
    if (bytes === undefined) {
      if (oldBlocks.size >= MAX_OLD_BLOCKS) oldBlocks.clear();
      bytes = await readBytes(source, place, clusterSize);
      oldBlocks.set(index, bytes);
    }
    return readRefcount(bytes, cluster % oldEntries, header.refcountOrder);
  };

  const isNextFree = (block: Block, cluster: number): boolean =>
    readRefcount(block.bytes, cluster % entries, order) === 0;

  return {
    get(cluster) {
      const index = Math.floor(cluster / entries);
      const block = loaded(index);
      if (block !== undefined) return readRefcount(block.bytes, cluster % entries, order);
      return load(index).then(({ bytes }) => readRefcount(bytes, cluster % entries, order));
    },
    change(cluster, by) {
      const index = Math.floor(cluster / entries);
      const block = loaded(index);
      if (block === undefined) return load(index).then((read) => add(read, cluster, by));
      add(block, cluster, by);
      return undefined;
    },
    async set(cluster, value) {
      set(await load(Math.floor(cluster / entries)), cluster, value);
    },
    async renewBlocks(clusters) {
      for (let index = 0; index * entries < clusters; index++) {
        const block = await load(index);
        if (block.bytes.some((byte) => byte !== 0)) markChanged(block);
      }
    },
    isFree(cluster) {
      const index = Math.floor(cluster / entries);
      const block = loaded(index);
      const isFreeIn = (read: Block): boolean | Promise<boolean> => {
        if (!isNextFree(read, cluster)) return false;
        if (isWidthKept && !unplaced.has(index) && !places.has(index)) return true;
        return oldRefcount(cluster).then((count) => count === 0);
      };
      return block === undefined ? load(index).then(isFreeIn) : isFreeIn(block);
    },
    get tableEntries() {
      return tableEntries;
    },
    async placeBlocks(allocate) {
      let found = false;
      for (let index = first(unplaced); index !== undefined; index = first(unplaced)) {
        found = true;
        // The place is known before its own count changes, so that a block can count itself.
        const place = await allocate();
        places.set(index, place);
        unplaced.delete(index);
        const oldPlace = isWidthKept ? (old[index] ?? 0) : 0;
        if (oldPlace !== 0) {
          const cluster = oldPlace / clusterSize;
          const block = await load(Math.floor(cluster / entries));
          add(block, cluster, -1);
        }
      }
      return found;
    },
    async write(length) {
      assert(unplaced.size === 0, 'every changed refcount block has a place');
      for (const block of blocks.values()) if (block.unsaved) await save(block);
      const table = new Uint8Array(length);
      const view = new DataView(table.buffer);
      for (let index = 0; index < tableEntries; index++) {
        view.setBigUint64(index * 8, BigInt(places.get(index) ?? (isWidthKept ? (old[index] ?? 0) : 0)));
      }
      return table;
    },
  };
}

const MAX_OLD_BLOCKS = 4;

function first(indexes: ReadonlySet<number>): number | undefined {
  const next = indexes.values().next();
  return next.done === true ? undefined : next.value;
}

/**
 * The offsets of the refcount blocks up to the last, 0 where there is none. Throws `corrupt` or `truncated` for bad ones
 * and for blocks beyond `MAX_COUNTED_BEHIND_END`.
 */
export async function readBlockOffsets(image: EditedImage): Promise<Float64Array> {
  const { header, geometry } = image.metadata;
  const { clusterSize } = geometry;
  const hostOffset = header.refcountTableOffset;
  const sizeBytes = header.refcountTableClusters * clusterSize;
  const words = await readTableWords(image.file.source, { structure: 'refcount table', hostOffset, sizeBytes });
  const offsets = new Float64Array(words.length / 2);
  for (let index = 0; index < offsets.length; index++) {
    const offset = (words[index * 2] ?? 0) * 2 ** 32 + (words[index * 2 + 1] ?? 0);
    const isInside = offset % clusterSize === 0 && offset + clusterSize <= image.file.source.size;
    if (offset !== 0 && !isInside) {
      throw qcow2Error('corrupt', `Refcount block ${index} does not lie in a cluster of the file`, {
        structure: 'refcount table',
        offset: hostOffset + index * 8,
      });
    }
    offsets[index] = offset;
  }
  const entries = refcountBlockEntries(clusterSize, header.refcountOrder);
  const lastSensible = image.file.source.size / clusterSize + MAX_COUNTED_BEHIND_END;
  const used = offsets.findLastIndex((offset) => offset !== 0) + 1;
  if ((used - 1) * entries <= lastSensible) return offsets.subarray(0, used);
  throw qcow2Error('corrupt', 'The refcount table counts clusters far behind the end of the file', {
    structure: 'refcount table',
    offset: hostOffset + (used - 1) * 8,
  });
}

function wrongCount(cluster: number, clusterSize: number): Error {
  return qcow2Error(
    'corrupt',
    `Cluster ${cluster} has more references than its refcount says; repair the image first`,
    {
      structure: 'refcount block',
      offset: cluster * clusterSize,
    },
  );
}

function tooManyReferences(order: number): Error {
  return qcow2Error(
    'unsupported',
    `A refcount of ${2 ** order} bits cannot count one more reference; amend the image to wider ones first`,
    { structure: 'refcount block' },
  );
}

function tableTooLarge(): Error {
  return qcow2Error('unsupported', `The refcount table would be larger than ${MAX_REFCOUNT_TABLE_SIZE} bytes`, {
    structure: 'refcount table',
  });
}
