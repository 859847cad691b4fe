import type { BitmapInfo } from '../bitmap-directory.ts';
import type { TableWords } from '../table-words.ts';
import { changeBitRange, readBits } from './bitmap-bits.ts';
import { bitmapDataOffset, newTableSize, readBitmapTable, writeBitmapTable } from './bitmap-entry.ts';
import type { Transaction } from './transaction.ts';

const ALL_ONES = 1;

/** The next state of one bitmap. Its clusters and its table get new places; the present ones are free with the switch. */
export interface BitmapDraft {
  /**
   * Sets the bits of all guest bytes of the range that lie on the disk. Ranges may come in any order; ascending ones
   * write each cluster of bits once. Undefined when that is done at once.
   */
  mark(offset: number, length: number): Promise<void> | undefined;
  /** Clears the bits of everything from `offset` on; a bit that also stands for bytes before it stays. */
  clearFrom(offset: number): Promise<void>;
  /** Writes what is not written and gives the entry that the directory must have. The draft is over. */
  finish(): Promise<BitmapInfo>;
}

/**
 * A draft of a bitmap that is there, for a disk of `virtualSize` bytes, as large as it is or about to be. Throws
 * `out_of_bounds` when the bitmap would be too large, and as reading its table does.
 */
export async function bitmapDraft(change: Transaction, bitmap: BitmapInfo, virtualSize: number): Promise<BitmapDraft> {
  const old = await readBitmapTable(change.image, bitmap);
  const tableSize = newTableSize(virtualSize, bitmap.granularity, change.image.metadata.geometry.clusterSize);
  const words = new Uint32Array(tableSize * 2);
  words.set(old.subarray(0, words.length));
  for (let index = tableSize; index < bitmap.tableSize; index++) await freeData(change, old, index);
  return draftOf(change, { bitmap, words, virtualSize, isMoved: tableSize !== bitmap.tableSize });
}

/** A draft of a bitmap that is not there yet, without any bit. Throws `out_of_bounds` when it would be too large. */
export function newBitmapDraft(
  change: Transaction,
  added: Pick<BitmapInfo, 'name' | 'granularity' | 'auto'>,
): BitmapDraft {
  const { header, geometry } = change.image.metadata;
  const tableSize = newTableSize(header.virtualSize, added.granularity, geometry.clusterSize);
  const bitmap: BitmapInfo = {
    name: added.name,
    granularity: added.granularity,
    auto: added.auto,
    inUse: false,
    tableOffset: 0,
    tableSize: 0,
  };
  const words = new Uint32Array(tableSize * 2);
  return draftOf(change, { bitmap, words, virtualSize: header.virtualSize, isMoved: true });
}

interface DraftStart {
  readonly bitmap: BitmapInfo;
  readonly words: TableWords;
  readonly virtualSize: number;
  /** True when the table needs a new place even if no entry changes. */
  readonly isMoved: boolean;
}

/** The cluster of bits that is being changed. */
interface OpenBits {
  readonly index: number;
  readonly bits: Uint8Array;
  isChanged: boolean;
}

function draftOf(change: Transaction, { bitmap, words, virtualSize, isMoved }: DraftStart): BitmapDraft {
  const { granularity } = bitmap;
  const { clusterSize } = change.image.metadata.geometry;
  const bitsPerEntry = clusterSize * 8;
  let isTableChanged = isMoved;
  let open: OpenBits | undefined;

  const save = async (): Promise<void> => {
    if (open?.isChanged !== true) return;
    const { index, bits } = open;
    open = undefined;
    await freeData(change, words, index);
    const isEmpty = bits.every((byte) => byte === 0);
    const place = isEmpty ? 0 : await change.allocate(clusterSize);
    if (!isEmpty) await change.image.file.sink.write(place, bits);
    words[index * 2] = Math.floor(place / 2 ** 32);
    words[index * 2 + 1] = place % 2 ** 32;
    isTableChanged = true;
  };

  const load = async (index: number): Promise<OpenBits> => {
    await save();
    const bits = (await readBits(change.image, words, index)) ?? new Uint8Array(clusterSize);
    open = { index, bits, isChanged: false };
    return open;
  };

  const setBits = (loaded: OpenBits, first: number, end: number): void => {
    const start = loaded.index * bitsPerEntry;
    const run = { first: Math.max(0, first - start), end: Math.min(bitsPerEntry, end - start) };
    if (changeBitRange(loaded.bits, run, 1)) loaded.isChanged = true;
  };

  const markRest = async (first: number, end: number): Promise<void> => {
    for (let index = Math.floor(first / bitsPerEntry); index * bitsPerEntry < end; index++) {
      if (bitmapDataOffset(words, index) === ALL_ONES) continue;
      setBits(open?.index === index ? open : await load(index), first, end);
    }
  };

  return {
    mark(offset, length) {
      const first = Math.floor(offset / granularity);
      const end = Math.ceil(Math.min(offset + length, virtualSize) / granularity);
      if (end <= first) return undefined;
      const index = Math.floor(first / bitsPerEntry);
      if (open?.index !== index || end > (index + 1) * bitsPerEntry) return markRest(first, end);
      setBits(open, first, end);
      return undefined;
    },
    async clearFrom(offset) {
      const first = Math.ceil(offset / granularity);
      for (let index = Math.floor(first / bitsPerEntry); index < words.length / 2; index++) {
        if (bitmapDataOffset(words, index) === 0) continue;
        const loaded = await load(index);
        const run = { first: Math.max(0, first - index * bitsPerEntry), end: bitsPerEntry };
        if (changeBitRange(loaded.bits, run, 0)) loaded.isChanged = true;
      }
    },
    async finish() {
      await save();
      if (!isTableChanged) return bitmap;
      if (bitmap.tableOffset !== 0) await change.change(bitmap.tableOffset, bitmap.tableSize * 8, -1);
      return { ...bitmap, tableSize: words.length / 2, tableOffset: await writeBitmapTable(change, words) };
    },
  };
}

async function freeData(change: Transaction, words: TableWords, index: number): Promise<void> {
  const offset = bitmapDataOffset(words, index);
  if (offset > ALL_ONES) await change.change(offset, change.image.metadata.geometry.clusterSize, -1);
}
