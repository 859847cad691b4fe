import { guidBytes } from '../../bytes/guid.ts';
import { alignDown } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { FinishContext, PlacedRun } from '../../image/target.ts';
import { BLOCK } from './bat-entry.ts';
import type { BatWriter } from './bat-writer.ts';
import { batWriter } from './bat-writer.ts';
import { encodeFileIdentifier, encodeHeader, HEADER_OFFSETS } from './header.ts';
import { MIB } from './limits.ts';
import { encodeMetadata } from './metadata-table.ts';
import { BAT_REGION, encodeRegionTable, METADATA_REGION, REGION_TABLE_OFFSETS } from './region-table.ts';
import type { NewDisk } from './target-layout.ts';
import { newDisk } from './target-layout.ts';

/** Without a version, so that the same disk stays the same bytes. */
const CREATOR = 'diskmorph';
/** What Hyper-V gives its disks. */
const PHYSICAL_SECTOR_SIZE = 4096;
/** Each identifier is the seed, marked by its purpose. */
const GUID_PURPOSE = { fileWrite: 1, dataWrite: 2, virtualDisk: 3 } as const;

/**
 * Writes the block allocation table as the runs come, metadata, region tables and headers, all flushed before the file
 * identifier, without which the file is no VHDX. Memory does not grow with the disk.
 */
export async function finishVhdx(context: FinishContext): Promise<void> {
  const { layout } = context;
  const sink = context.sinks[0];
  assert(sink !== undefined, 'a VHDX disk has one file');
  const disk = newDisk(layout);
  const { options, geometry, places } = disk;
  const emptyState = options.blockStateZero ? BLOCK.zero : BLOCK.notPresent;
  const table = batWriter(sink, places.batOffset, { geometry, emptyState });
  if (options.subformat === 'fixed') await placeAll(table, disk);
  else await placeRuns(table, context.runs, geometry.blockSize);
  await table.finish();
  const end =
    options.subformat === 'fixed'
      ? places.blocksOffset + geometry.payloadBlocks * geometry.blockSize
      : Math.max(context.ends[0] ?? 0, places.blocksOffset);
  await sink.truncate(end);
  await sink.write(places.metadataOffset, newMetadata(disk));
  for (const at of REGION_TABLE_OFFSETS) await sink.write(at, newRegionTable(disk));
  for (const [index, at] of HEADER_OFFSETS.entries()) await sink.write(at, newHeader(disk, index));
  await sink.flush();
  await sink.write(0, encodeFileIdentifier(CREATOR));
  await sink.flush();
}

/** Every block lies where its guest bytes are, one after the other. */
async function placeAll(table: BatWriter, { geometry, places }: NewDisk): Promise<void> {
  for (let block = 0; block < geometry.payloadBlocks; block++) {
    await table.place(block, places.blocksOffset + block * geometry.blockSize);
  }
}

async function placeRuns(
  table: BatWriter,
  runs: AsyncIterable<readonly PlacedRun[]>,
  blockSize: number,
): Promise<void> {
  let placed = -1;
  for await (const batch of runs) {
    for (const { guestOffset, hostOffset, unitCount, storedLength } of batch) {
      const end = guestOffset + unitCount * storedLength;
      for (let start = alignDown(guestOffset, blockSize); start < end; start += blockSize) {
        const block = start / blockSize;
        if (block === placed) continue;
        const blockOffset = hostOffset - (guestOffset - start);
        assert(blockOffset % MIB === 0, 'blocks lie on whole MiB');
        await table.place(block, blockOffset);
        placed = block;
      }
    }
  }
}

function newMetadata({ options, geometry, seed }: NewDisk): Uint8Array {
  return encodeMetadata({
    blockSize: options.blockSize,
    leaveBlocksAllocated: options.subformat === 'fixed',
    diskSize: geometry.diskSize,
    diskId: options.diskId === undefined ? derivedGuid(seed, GUID_PURPOSE.virtualDisk) : guidBytes(options.diskId),
    logicalSectorSize: options.logicalSectorSize,
    physicalSectorSize: PHYSICAL_SECTOR_SIZE,
  });
}

function newRegionTable({ places }: NewDisk): Uint8Array {
  return encodeRegionTable([
    { guid: BAT_REGION, fileOffset: places.batOffset, length: places.batLength, required: true },
    { guid: METADATA_REGION, fileOffset: places.metadataOffset, length: MIB, required: true },
  ]);
}

function newHeader({ places, options, seed }: NewDisk, index: number): Uint8Array {
  return encodeHeader({
    sequenceNumber: index + 1,
    fileWriteGuid: derivedGuid(seed, GUID_PURPOSE.fileWrite),
    dataWriteGuid: derivedGuid(seed, GUID_PURPOSE.dataWrite),
    logOffset: places.logOffset,
    logLength: options.logSize,
  });
}

const VERSION_8 = 0x80;
const VARIANT = 0x80;

/** A GUID of version 8 (RFC 9562, section 5.8) in the byte order of the file. */
function derivedGuid(seed: Uint8Array, purpose: number): Uint8Array {
  const guid = seed.slice();
  guid[0] = (guid[0] ?? 0) ^ purpose;
  guid[7] = ((guid[7] ?? 0) & 0x0f) | VERSION_8;
  guid[8] = ((guid[8] ?? 0) & 0x3f) | VARIANT;
  return guid;
}
