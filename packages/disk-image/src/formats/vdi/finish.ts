import type { ByteSink } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import type { FinishContext, PlacedRun } from '../../image/target.ts';
import { NOT_ALLOCATED } from './block-map.ts';
import { encodeHeader } from './header.ts';
import type { NewImage } from './new-image.ts';
import { newImage } from './new-image.ts';

/** Entries written at a time: 64 KiB, whatever the size of the disk. */
const ENTRIES_PER_WRITE = 16384;

/** Block map, the full length of the file, a flush, then the header. */
export async function finishVdi(context: FinishContext): Promise<void> {
  const { layout, sinks } = context;
  const sink = sinks[0];
  assert(sink !== undefined, 'an image has one file');
  const image = newImage(layout);
  const allocated =
    image.imageType === 'static' ? await writeFullMap(sink, image) : await writeMap(sink, image, context);
  await sink.truncate(image.dataOffset + allocated * image.blockSize);
  await sink.flush();
  await sink.write(0, encodeHeader({ ...image, diskSize: layout.virtualSize, allocatedBlockCount: allocated }));
  await sink.flush();
}

/** Every block at its own place. */
async function writeFullMap(sink: ByteSink, image: NewImage): Promise<number> {
  const map = blockMapWriter(sink, image);
  for (let block = 0; block < image.blockCount; block++) await map.put(block, block);
  await map.finish();
  return image.blockCount;
}

async function writeMap(sink: ByteSink, image: NewImage, context: FinishContext): Promise<number> {
  const map = blockMapWriter(sink, image);
  let allocated = 0;
  for await (const runs of context.runs) {
    for (const run of runs) {
      for (const { block, entry } of storedBlocks(image, run, context.layout.unitSize)) {
        if (entry < allocated) continue;
        assert(entry === allocated, 'blocks are taken one after another');
        await map.put(block, entry);
        allocated++;
      }
    }
  }
  await map.finish();
  return allocated;
}

/** The blocks that a run has bytes in. Blocks follow each other in the file, so a run may cross from one to the next. */
function* storedBlocks(
  image: NewImage,
  run: PlacedRun,
  unitSize: number,
): Generator<{ readonly block: number; readonly entry: number }> {
  const { blockSize, dataOffset } = image;
  const first = Math.floor(run.guestOffset / blockSize);
  const last = Math.floor((run.guestOffset + run.unitCount * unitSize - 1) / blockSize);
  const entry = (run.hostOffset - dataOffset - (run.guestOffset - first * blockSize)) / blockSize;
  for (let block = first; block <= last; block++) yield { block, entry: entry + (block - first) };
}

/** Takes entries in ascending order of their blocks and writes the whole map, a piece at a time. */
interface BlockMapWriter {
  put(block: number, entry: number): Promise<void>;
  finish(): Promise<void>;
}

function blockMapWriter(sink: ByteSink, image: NewImage): BlockMapWriter {
  const bytes = new Uint8Array(ENTRIES_PER_WRITE * 4);
  const view = new DataView(bytes.buffer);
  let start = 0;
  const reset = (): void => {
    for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, NOT_ALLOCATED, true);
  };
  const writePiece = async (): Promise<void> => {
    const count = Math.min(ENTRIES_PER_WRITE, image.blockCount - start);
    await sink.write(image.blockMapOffset + start * 4, bytes.subarray(0, count * 4));
    start += count;
    reset();
  };
  reset();
  return {
    async put(block, entry) {
      while (block >= start + ENTRIES_PER_WRITE) await writePiece();
      view.setUint32((block - start) * 4, entry, true);
    },
    async finish() {
      while (start < image.blockCount) await writePiece();
    },
  };
}
