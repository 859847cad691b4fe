import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { faultError } from './fault.ts';
import { readMetadata } from './metadata.ts';
import { readRefcount, refcountBlockEntries } from './refcount-block.ts';
import { readTableWords } from './table-words.ts';

/**
 * Clusters of the file with a refcount above 0; counting stops at `most`. Refcount blocks beyond the end of the file
 * count nothing. Throws the first fault that `readMetadata` finds.
 */
export async function usedClusters(source: ByteSource, most: number): Promise<number> {
  const { header, geometry, faults } = await readMetadata(source);
  const fault = faults[0];
  if (fault !== undefined) throw faultError(fault);
  const { clusterSize } = geometry;
  const words = await readTableWords(source, {
    structure: 'refcount table',
    hostOffset: header.refcountTableOffset,
    sizeBytes: header.refcountTableClusters * clusterSize,
  });
  const clusters = Math.ceil(source.size / clusterSize);
  const entries = refcountBlockEntries(clusterSize, header.refcountOrder);
  let used = 0;
  for (let first = 0; first < clusters && used < most; first += entries) {
    const index = (first / entries) * 2;
    const low = words[index + 1] ?? 0;
    const blockOffset = (words[index] ?? 0) * 2 ** 32 + low - (low % OFFSET_UNIT);
    if (blockOffset === 0 || blockOffset + clusterSize > source.size) continue;
    const block = await readBytes(source, blockOffset, clusterSize);
    const end = Math.min(entries, clusters - first);
    for (let i = 0; i < end && used < most; i++) if (readRefcount(block, i, header.refcountOrder) > 0) used++;
  }
  return used;
}

/** Bits 0 to 8 of an entry of the refcount table are reserved. */
const OFFSET_UNIT = 512;
