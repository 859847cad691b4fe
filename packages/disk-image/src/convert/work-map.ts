import { alignUp } from '../bytes/numbers.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import { storedRanges } from '../image/file-holes.ts';
import type { ByteRange } from './zero-blocks.ts';

/** Bytes of guest disk that a lane of work takes at a time: they stay in the processor's cache from read to write. */
export const MIN_CHUNK_SIZE: number = 256 * 1024;

/** The most chunks a disk is divided into: the map of them then takes 32 MiB. Larger disks get larger chunks. */
const MAX_CHUNKS = 2 ** 25;
const PARTS_PER_CHUNK = 8;
const ALL_PARTS = 0xff;
/** Chunks that are looked at together where many are empty. */
const WORD: number = Int32Array.BYTES_PER_ELEMENT;

/**
 * Which parts of a disk may hold data, in memory that lanes share. Chunk i holds guest bytes
 * `[i * chunkSize, (i + 1) * chunkSize)`, the last one perhaps fewer, in eight parts of equal size.
 */
export interface WorkMap {
  readonly chunkSize: number;
  readonly chunkCount: number;
  /** A byte for each chunk, in it a bit for each part, the lowest for the first; padded to whole words. */
  readonly parts: Uint8Array;
}

/** A map without data. `chunkSize` is the least allowed power of two that is a multiple of `unitSize`. */
export function emptyWorkMap(virtualSize: number, unitSize: number, shared: boolean): WorkMap {
  let chunkSize = Math.max(MIN_CHUNK_SIZE, unitSize);
  while (virtualSize / chunkSize > MAX_CHUNKS) chunkSize *= 2;
  const chunkCount = Math.ceil(virtualSize / chunkSize);
  return { chunkSize, chunkCount, parts: noParts(chunkCount, shared) };
}

function noParts(chunkCount: number, shared: boolean): Uint8Array {
  const length = alignUp(chunkCount, WORD);
  return new Uint8Array(shared ? new SharedArrayBuffer(length) : new ArrayBuffer(length));
}

/** What the tables of an image say about its guest bytes, in sums. */
export interface MapSummary {
  readonly dataBytes: number;
  readonly compressedBytes: number;
  readonly extentCount: number;
}

/** Marks every part in which the image stores data that lies in no hole of its file, as far as the map reaches. Reads tables only. */
export async function markData(map: WorkMap, image: DiskImage, signal?: AbortSignal): Promise<MapSummary> {
  let dataBytes = 0;
  let compressedBytes = 0;
  let extentCount = 0;
  const length = Math.min(image.virtualSize, map.chunkSize * map.chunkCount);
  const storedOf = storedRanges(image);
  for await (const extent of image.extents({ offset: 0, length })) {
    signal?.throwIfAborted();
    extentCount++;
    if (extent.state !== 'data') continue;
    if (extent.compressed) compressedBytes += extent.length;
    for (const stored of storedOf(extent)) {
      dataBytes += stored.length;
      markRange(map, stored.offset, stored.length);
    }
  }
  return { dataBytes, compressedBytes, extentCount };
}

/** Marks every part with a byte in the range, which is not empty. */
export function markRange(map: WorkMap, offset: number, length: number): void {
  const partSize = map.chunkSize / PARTS_PER_CHUNK;
  const last = Math.floor((offset + length - 1) / partSize);
  let part = Math.floor(offset / partSize);
  assert(part >= 0 && last < map.chunkCount * PARTS_PER_CHUNK, 'an extent lies inside the disk');
  while (part <= last) {
    if (part % PARTS_PER_CHUNK === 0 && part + PARTS_PER_CHUNK <= last + 1) {
      const wholeChunks = Math.floor((last + 1 - part) / PARTS_PER_CHUNK);
      map.parts.fill(ALL_PARTS, part / PARTS_PER_CHUNK, part / PARTS_PER_CHUNK + wholeChunks);
      part += wholeChunks * PARTS_PER_CHUNK;
    } else {
      const chunk = Math.floor(part / PARTS_PER_CHUNK);
      map.parts[chunk] = (map.parts[chunk] ?? 0) | (1 << (part % PARTS_PER_CHUNK));
      part++;
    }
  }
}

/** The same map in chunks that are `factor` times as large, a power of two from 2 to 8, for work that reads little of them. */
export function coarserMap(map: WorkMap, factor: number, shared: boolean): WorkMap {
  const chunkCount = Math.ceil(map.chunkCount / factor);
  const parts = noParts(chunkCount, shared);
  const joined = ALL_PARTS >> (PARTS_PER_CHUNK - factor);
  for (let chunk = nextDataChunk(map, 0); chunk >= 0; chunk = nextDataChunk(map, chunk + 1)) {
    const marked = map.parts[chunk] ?? 0;
    const to = Math.floor(chunk / factor);
    for (let part = 0; part < PARTS_PER_CHUNK; part += factor) {
      const isData = ((marked >> part) & joined) !== 0;
      const bit = ((chunk % factor) * PARTS_PER_CHUNK + part) / factor;
      if (isData) parts[to] = (parts[to] ?? 0) | (1 << bit);
    }
  }
  return { chunkSize: map.chunkSize * factor, chunkCount, parts };
}

/** The ranges of a chunk that may hold data, relative to its start and clipped to `length`, in ascending order. */
export function dataParts(map: WorkMap, chunk: number, length: number): ByteRange[] {
  const marked = map.parts[chunk] ?? 0;
  if (marked === ALL_PARTS) return [{ start: 0, end: length }];
  const partSize = map.chunkSize / PARTS_PER_CHUNK;
  const ranges: ByteRange[] = [];
  for (let part = 0; part < PARTS_PER_CHUNK; part++) {
    if ((marked & (1 << part)) === 0) continue;
    const first = part;
    while ((marked & (1 << (part + 1))) !== 0) part++;
    ranges.push({ start: first * partSize, end: Math.min((part + 1) * partSize, length) });
  }
  return ranges;
}

/** The first chunk at or after `from` that may hold data, or -1. */
export function nextDataChunk(map: WorkMap, from: number): number {
  const { parts, chunkCount } = map;
  let chunk = from;
  for (; chunk % WORD !== 0 && chunk < chunkCount; chunk++) if (parts[chunk] !== 0) return chunk;
  const words = new Int32Array(parts.buffer, parts.byteOffset, parts.length / WORD);
  let word = chunk / WORD;
  while (word < words.length && words[word] === 0) word++;
  for (chunk = word * WORD; chunk < chunkCount; chunk++) if (parts[chunk] !== 0) return chunk;
  return -1;
}

/** The first chunk at or after `from` that holds no data; the number of chunks when there is none. */
export function nextEmptyChunk(map: WorkMap, from: number): number {
  let chunk = from;
  while (chunk < map.chunkCount && map.parts[chunk] !== 0) chunk++;
  return chunk;
}

/** How many units of `size` guest bytes, a power of two, may hold data. */
export function countDataUnits(map: WorkMap, size: number): number {
  if (size <= map.chunkSize) return countDataChunks(map) * (map.chunkSize / size);
  const perUnit = size / map.chunkSize;
  let count = 0;
  for (let chunk = nextDataChunk(map, 0); chunk >= 0; count++) {
    chunk = nextDataChunk(map, (Math.floor(chunk / perUnit) + 1) * perUnit);
  }
  return count;
}

/** How many chunks at or after `from` may hold data. */
export function countDataChunks(map: WorkMap, from: number = 0): number {
  let count = 0;
  for (let chunk = nextDataChunk(map, from); chunk >= 0; chunk = nextDataChunk(map, chunk + 1)) count++;
  return count;
}
