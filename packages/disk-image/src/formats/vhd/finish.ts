import type { ByteSink } from '../../bytes/byte-source.ts';
import { alignDown, alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { FinishContext } from '../../image/target.ts';
import { bitmapSize } from './block-allocation-table.ts';
import { encodeDynamicHeader } from './dynamic-header.ts';
import { encodeFooter, FOOTER_SIZE, NEW_HEADER_OFFSET } from './footer.ts';
import { SECTOR_SIZE } from './limits.ts';
import type { NewDisk } from './new-disk.ts';
import { newDisk } from './new-disk.ts';

/** Bytes of the table written at a time, whatever the size of the disk. */
const TABLE_WRITE_SIZE: number = 64 * 1024;

/** Writes what makes a file of guest bytes a disk; a footer comes last. */
export async function finishVhd(context: FinishContext): Promise<void> {
  const sink = context.sinks[0];
  assert(sink !== undefined, 'a VHD has one file');
  const disk = newDisk(context.layout);
  if (disk.diskType === 'fixed') await finishFixed(sink, disk);
  else await finishDynamic(sink, disk, context);
}

async function finishFixed(sink: ByteSink, disk: NewDisk): Promise<void> {
  await sink.truncate(disk.virtualSize);
  await sink.flush();
  await sink.write(disk.virtualSize, encodeFooter(disk));
  await sink.flush();
}

/**
 * Bitmaps, table, header; then the footer, in a file that is a sector too long, so that it does not stand at the end yet;
 * then its copy at the beginning, which makes the file a disk; then the right length. A program that goes by the footer
 * alone would take a dynamic disk without the copy for a fixed one. On a device, whose end is where it is, the copy comes
 * first, and the footer stands at the end of the device.
 */
async function finishDynamic(sink: ByteSink, disk: NewDisk, context: FinishContext): Promise<void> {
  await writeBlockTables(sink, disk, context);
  const end = context.ends[0] ?? disk.dataOffset;
  const footer = encodeFooter(disk);
  const { tableOffset, blockSize } = disk;
  const header = encodeDynamicHeader({ tableOffset, blockSize, maxTableEntries: disk.blockCount });
  await sink.write(NEW_HEADER_OFFSET, header);
  if (sink.deviceSize !== undefined) {
    await writeFooters(sink, footer, [0, alignDown(sink.deviceSize, SECTOR_SIZE) - FOOTER_SIZE]);
    return;
  }
  await sink.truncate(end + 2 * FOOTER_SIZE);
  await writeFooters(sink, footer, [end, 0]);
  await sink.truncate(end + FOOTER_SIZE);
  await sink.flush();
}

/** Each after all before it. */
async function writeFooters(sink: ByteSink, footer: Uint8Array, places: readonly number[]): Promise<void> {
  for (const place of places) {
    await sink.flush();
    await sink.write(place, footer);
  }
  await sink.flush();
}

/** The bitmap of every stored block, all bits set, and the block allocation table, padded to whole sectors. */
async function writeBlockTables(sink: ByteSink, disk: NewDisk, context: FinishContext): Promise<void> {
  const prefix = bitmapSize(disk.blockSize);
  const bitmap = new Uint8Array(prefix).fill(0xff);
  const table = tableWriter(sink, disk);
  let lastBlock = -1;
  for await (const runs of context.runs) {
    for (const run of runs) {
      const block = Math.floor(run.guestOffset / disk.blockSize);
      if (block === lastBlock) continue;
      lastBlock = block;
      const start = run.hostOffset - (run.guestOffset - block * disk.blockSize) - prefix;
      await sink.write(start, bitmap);
      await table.put(block, start / SECTOR_SIZE);
    }
  }
  await table.finish();
}

/** Takes entries in ascending order of their blocks and writes the whole table, a piece at a time. */
interface TableWriter {
  put(block: number, sector: number): Promise<void>;
  finish(): Promise<void>;
}

function tableWriter(sink: ByteSink, disk: NewDisk): TableWriter {
  const bytes = new Uint8Array(TABLE_WRITE_SIZE).fill(0xff);
  const view = new DataView(bytes.buffer);
  const size = alignUp(disk.blockCount * 4, SECTOR_SIZE);
  let written = 0;
  const writePiece = async (): Promise<void> => {
    const length = Math.min(TABLE_WRITE_SIZE, size - written);
    await sink.write(disk.tableOffset + written, bytes.subarray(0, length));
    written += length;
    bytes.fill(0xff);
  };
  return {
    async put(block, sector) {
      while (block * 4 >= written + TABLE_WRITE_SIZE) await writePiece();
      view.setUint32(block * 4 - written, sector);
    },
    async finish() {
      while (written < size) await writePiece();
    },
  };
}
