import { memorySource } from '../src/index.ts';
import type { BitmapInfo } from '../src/formats/qcow2/bitmap-directory.ts';
import type { Metadata } from '../src/formats/qcow2/metadata.ts';
import { readMetadata } from '../src/formats/qcow2/metadata.ts';

const ENTRY_LENGTH = 24;
const FLAGS_AT = 12;
const NAME_LENGTH_AT = 18;
const FLAG_IN_USE = 1;

interface FoundBitmap {
  readonly bitmap: BitmapInfo;
  readonly metadata: Metadata;
}

async function findBitmap(bytes: Uint8Array, name: string): Promise<FoundBitmap> {
  const metadata = await readMetadata(memorySource(bytes));
  const bitmap = metadata.bitmaps.find((candidate) => candidate.name === name);
  if (bitmap === undefined) throw new Error(`no bitmap ${name}`);
  return { bitmap, metadata };
}

/** All bits of a bitmap, as the bytes of its clusters, read by the table alone and not by the code under test. */
export async function bitsOf(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const { bitmap, metadata } = await findBitmap(bytes, name);
  const { clusterSize } = metadata.geometry;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const bits = new Uint8Array(bitmap.tableSize * clusterSize);
  for (let index = 0; index < bitmap.tableSize; index++) {
    const offset = Number(view.getBigUint64(bitmap.tableOffset + index * 8));
    const into = bits.subarray(index * clusterSize, (index + 1) * clusterSize);
    if (offset === 1) into.fill(0xff);
    else if (offset > 1) into.set(bytes.subarray(offset, offset + clusterSize));
  }
  return bits;
}

/** The guest bytes that a bitmap says something about: `[start, end)`, ending with the disk. */
export async function rangesOf(bytes: Uint8Array, name: string): Promise<readonly (readonly [number, number])[]> {
  const { bitmap, metadata } = await findBitmap(bytes, name);
  const bits = await bitsOf(bytes, name);
  const ranges: [number, number][] = [];
  const { virtualSize } = metadata.header;
  for (let bit = 0; bit * bitmap.granularity < virtualSize; bit++) {
    if ((((bits[Math.floor(bit / 8)] ?? 0) >> (bit % 8)) & 1) === 0) continue;
    const start = bit * bitmap.granularity;
    const end = Math.min(start + bitmap.granularity, virtualSize);
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === start) last[1] = end;
    else ranges.push([start, end]);
  }
  return ranges;
}

/** A copy in which the bitmap is marked as in use, as a program leaves it that was killed. */
export async function withInUse(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const copy = bytes.slice();
  const { metadata } = await findBitmap(copy, name);
  const view = new DataView(copy.buffer);
  let at = metadata.extensions.bitmaps?.directoryOffset ?? 0;
  for (const bitmap of metadata.bitmaps) {
    if (bitmap.name === name) view.setUint32(at + FLAGS_AT, view.getUint32(at + FLAGS_AT) | FLAG_IN_USE);
    at += Math.ceil((ENTRY_LENGTH + view.getUint16(at + NAME_LENGTH_AT)) / 8) * 8;
  }
  return copy;
}
