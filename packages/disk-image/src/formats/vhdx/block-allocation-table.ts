import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Metadata } from './metadata-table.ts';
import type { Region } from './region-table.ts';

/** 64 TiB in blocks of 1 MiB need 512 MiB of table; what is walked here is enough for 1 TiB in such blocks. */
const MAX_BYTES_WALKED = 8 * 2 ** 20;
const STATE_MASK = 7;
const FULLY_PRESENT = 6;
const PARTIALLY_PRESENT = 7;
const SECTORS_PER_BITMAP_BLOCK = 2 ** 23;
const MIB = 2 ** 20;

/** Payload blocks for each sector bitmap block: [MS-VHDX] 2.5, "chunk ratio". */
export function chunkRatio(metadata: Metadata): number {
  return Math.floor((SECTORS_PER_BITMAP_BLOCK * metadata.logicalSectorSize) / metadata.blockSize);
}

/** Entries that the disk needs, sector bitmap blocks counted in. */
export function neededEntries(metadata: Metadata): number {
  const payloadBlocks = Math.ceil(metadata.diskSize / metadata.blockSize);
  const ratio = chunkRatio(metadata);
  const chunks = metadata.hasParent
    ? Math.ceil(payloadBlocks / ratio)
    : Math.floor(Math.max(0, payloadBlocks - 1) / ratio);
  return metadata.hasParent ? chunks * (ratio + 1) : payloadBlocks + chunks;
}

/** Does the file hold every block that the table places? One little-endian u64 an entry: 3 bits of state, MiB offset from bit 20. */
export async function batFindings(source: ByteSource, region: Region, metadata: Metadata): Promise<readonly Finding[]> {
  const needed = neededEntries(metadata) * 8;
  if (needed > region.length) {
    const message = `A block allocation table of ${region.length} bytes is too small for the disk, which needs ${needed}`;
    return [{ code: 'header-inconsistent', severity: 'unsafe', offset: region.fileOffset, message }];
  }
  if (needed > MAX_BYTES_WALKED || region.fileOffset + needed > source.size) return [];
  const bytes = await readBytes(source, region.fileOffset, needed);
  return truncationFindings(source.size, dataEnd(bytes, metadata));
}

function dataEnd(table: Uint8Array, metadata: Metadata): number {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const ratio = chunkRatio(metadata);
  let end = 0;
  for (let i = 0; i * 8 < table.length; i++) {
    const low = view.getUint32(i * 8, true);
    const state = low & STATE_MASK;
    if (state !== FULLY_PRESENT && state !== PARTIALLY_PRESENT) continue;
    const isBitmap = i % (ratio + 1) === ratio;
    const offsetMib = view.getUint32(i * 8 + 4, true) * 4096 + (low >>> 20);
    end = Math.max(end, offsetMib * MIB + (isBitmap ? MIB : metadata.blockSize));
  }
  return end;
}
