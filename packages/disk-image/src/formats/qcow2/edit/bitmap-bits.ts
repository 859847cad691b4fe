import { readBytes } from '../../../bytes/byte-source.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { TableWords } from '../table-words.ts';
import type { BitmapImage } from './bitmap-entry.ts';
import { bitmapDataOffset, bitmapTableSize, readBitmapTable } from './bitmap-entry.ts';

/** A table entry that says, without data, that all bits are set. qcow2 specification, "Bitmap table". */
const ALL_ONES = 1;
const FULL_BYTE = 0xff;

/** What a bitmap says about consecutive guest bytes: called for each run of set bits, in ascending order. */
export type RunVisitor = (offset: number, length: number) => Promise<void> | undefined;

/**
 * Calls `visit` for the guest bytes of every run of set bits; runs end at clusters of the bitmap's data and with the
 * disk. Throws `corrupt` for a table that is too short or unaligned data, `truncated` for data outside the file.
 */
export async function forEachRun(image: BitmapImage, bitmap: BitmapInfo, visit: RunVisitor): Promise<void> {
  const { header, geometry } = image.metadata;
  const words = await readBitmapTable(image, bitmap);
  const entries = bitmapTableSize(header.virtualSize, bitmap.granularity, geometry.clusterSize);
  if (entries * 2 > words.length) {
    throw damaged(`The table of bitmap ${JSON.stringify(bitmap.name)} has too few entries`, bitmap.tableOffset);
  }
  const bitsPerEntry = geometry.clusterSize * 8;
  for (let index = 0; index < entries; index++) {
    const bits = await readBits(image, words, index);
    if (bits === undefined) continue;
    for (const { first, end } of bitRuns(bits)) {
      const offset = (index * bitsPerEntry + first) * bitmap.granularity;
      const length = Math.min((end - first) * bitmap.granularity, header.virtualSize - offset);
      const pending = length > 0 ? visit(offset, length) : undefined;
      if (pending !== undefined) await pending;
    }
  }
}

/** The bits below a table entry, freshly allocated; undefined when none is set and none is stored. */
export async function readBits(image: BitmapImage, words: TableWords, index: number): Promise<Uint8Array | undefined> {
  const { clusterSize } = image.metadata.geometry;
  const offset = bitmapDataOffset(words, index);
  if (offset === 0) return undefined;
  if (offset === ALL_ONES) return new Uint8Array(clusterSize).fill(FULL_BYTE);
  if (offset % clusterSize !== 0) throw damaged('The data of a bitmap is not cluster-aligned', offset);
  return readBytes(image.file.source, offset, clusterSize);
}

/** Bits from `first` to before `end`. Bit i is bit i % 8, counted from the lowest, of byte i / 8. */
interface BitRun {
  readonly first: number;
  readonly end: number;
}

function* bitRuns(bits: Uint8Array): Generator<BitRun> {
  let first = -1;
  for (let at = 0; at < bits.length; at++) {
    const byte = bits[at] ?? 0;
    if (byte === (first < 0 ? 0 : FULL_BYTE)) continue;
    for (let bit = 0; bit < 8; bit++) {
      const isSet = ((byte >> bit) & 1) !== 0;
      if (isSet === first >= 0) continue;
      if (!isSet) yield { first, end: at * 8 + bit };
      first = isSet ? at * 8 + bit : -1;
    }
  }
  if (first >= 0) yield { first, end: bits.length * 8 };
}

/** Sets bits `[first, end)`, or clears them. True when one has changed. */
export function changeBitRange(bits: Uint8Array, run: BitRun, to: 0 | 1): boolean {
  let isChanged = false;
  for (let at = Math.floor(run.first / 8); at * 8 < run.end; at++) {
    const low = FULL_BYTE << Math.max(0, run.first - at * 8);
    const high = FULL_BYTE >> Math.max(0, at * 8 + 8 - run.end);
    const mask = low & high & FULL_BYTE;
    const old = bits[at] ?? 0;
    const next = to === 1 ? old | mask : old & ~mask;
    if (next === old) continue;
    bits[at] = next;
    isChanged = true;
  }
  return isChanged;
}

function damaged(message: string, offset: number): Error {
  return qcow2Error('corrupt', message, { structure: 'bitmap table', offset });
}
