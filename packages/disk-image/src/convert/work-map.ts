import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';

/** Bytes of guest disk that a lane of work takes at a time: they stay in the processor's cache from read to write. */
export const MIN_CHUNK_SIZE: number = 256 * 1024;

/** The most chunks a disk is divided into: the map of them then takes 32 MiB. Larger disks get larger chunks. */
const MAX_CHUNKS = 2 ** 28;

/**
 * Which chunks of a disk may hold data: one bit each, in memory that lanes share. Chunk i holds guest bytes
 * `[i * chunkSize, (i + 1) * chunkSize)`, the last one perhaps fewer.
 */
export interface WorkMap {
  readonly chunkSize: number;
  readonly chunkCount: number;
  readonly bits: Uint8Array;
}

/** A map without data. `chunkSize` is the least allowed power of two that is a multiple of `unitSize`. */
export function emptyWorkMap(virtualSize: number, unitSize: number, shared: boolean): WorkMap {
  let chunkSize = Math.max(MIN_CHUNK_SIZE, unitSize);
  while (virtualSize / chunkSize > MAX_CHUNKS) chunkSize *= 2;
  const chunkCount = Math.ceil(virtualSize / chunkSize);
  const length = Math.ceil(chunkCount / 8);
  return {
    chunkSize,
    chunkCount,
    bits: new Uint8Array(shared ? new SharedArrayBuffer(length) : new ArrayBuffer(length)),
  };
}

/** What the tables of an image say about its guest bytes, in sums. */
export interface MapSummary {
  readonly dataBytes: number;
  readonly compressedBytes: number;
  readonly extentCount: number;
}

/** Marks every chunk in which the image stores data, as far as the map reaches. Reads tables only. */
export async function markData(map: WorkMap, image: DiskImage, signal?: AbortSignal): Promise<MapSummary> {
  let dataBytes = 0;
  let compressedBytes = 0;
  let extentCount = 0;
  const length = Math.min(image.virtualSize, map.chunkSize * map.chunkCount);
  for await (const extent of image.extents({ offset: 0, length })) {
    signal?.throwIfAborted();
    extentCount++;
    if (extent.state !== 'data') continue;
    dataBytes += extent.length;
    if (extent.compressed) compressedBytes += extent.length;
    markRange(map, extent.offset, extent.length);
  }
  return { dataBytes, compressedBytes, extentCount };
}

/** Marks every chunk with a byte in the range, which is not empty. */
export function markRange(map: WorkMap, offset: number, length: number): void {
  const last = Math.floor((offset + length - 1) / map.chunkSize);
  let chunk = Math.floor(offset / map.chunkSize);
  assert(chunk >= 0 && last < map.chunkCount, 'an extent lies inside the disk');
  while (chunk <= last) {
    if (chunk % 8 === 0 && chunk + 8 <= last + 1) {
      const wholeBytes = Math.floor((last + 1 - chunk) / 8);
      map.bits.fill(0xff, chunk / 8, chunk / 8 + wholeBytes);
      chunk += wholeBytes * 8;
    } else {
      map.bits[chunk >> 3] = (map.bits[chunk >> 3] ?? 0) | (1 << (chunk & 7));
      chunk++;
    }
  }
}

/** The first chunk at or after `from` that may hold data, or -1. */
export function nextDataChunk(map: WorkMap, from: number): number {
  let chunk = from;
  while (chunk < map.chunkCount) {
    const byte = map.bits[chunk >> 3] ?? 0;
    if (byte === 0) chunk = ((chunk >> 3) + 1) * 8;
    else if ((byte & (1 << (chunk & 7))) !== 0) return chunk;
    else chunk++;
  }
  return -1;
}

/** The first chunk at or after `from` that holds no data; the number of chunks when there is none. */
export function nextEmptyChunk(map: WorkMap, from: number): number {
  let chunk = from;
  while (chunk < map.chunkCount && ((map.bits[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0) chunk++;
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
