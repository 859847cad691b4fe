import type { ByteSource } from '../../bytes/byte-source.ts';
import { assert, ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { Extent, GuestRange } from '../../image/extent.ts';
import { normalizeExtents } from '../../image/extent.ts';
import type { Format, LayoutRequest } from '../../image/format.ts';
import { rejectUnknownOptions } from '../../image/options.ts';
import type { FinishContext, TargetLayout } from '../../image/target.ts';
import { rawEditor } from './edit.ts';

/** Guest bytes as they are: no header, no tables. The file's holes are the only map. */
export const raw: Format = {
  name: 'raw',
  aliases: ['img', 'bin', 'dd'],
  probe: () => true,
  examine: async (source) => ({ info: rawInfo(source), findings: [] }),
  open: async (source) => openRaw(source),
  editor: rawEditor,
  writer: {
    options: [],
    layout: rawLayout,
    encoder: () => {
      throw new Error('assertion failed: raw bytes are never encoded');
    },
    finish: finishRaw,
    measure: (layout, dataUnits) => ({
      required: Math.min(layout.virtualSize, dataUnits * layout.unitSize),
      fullyAllocated: layout.virtualSize,
    }),
  },
};

const RAW_UNIT_SIZE = 4096;

function rawInfo(source: ByteSource): ImageInfo {
  return {
    format: 'raw',
    virtualSize: source.size,
    references: [],
    dirty: false,
    corrupt: false,
    snapshots: [],
    details: {},
  };
}

function openRaw(source: ByteSource): DiskImage {
  return {
    info: rawInfo(source),
    virtualSize: source.size,
    file: source,
    extents: (range) => normalizeExtents(range, rawExtents(source, range)),
    async read(offset, into, signal) {
      if (offset < 0 || offset + into.length > source.size) {
        throw new ImageError(
          'out_of_bounds',
          `Bytes ${offset} to ${offset + into.length} are outside a disk of ${source.size} bytes`,
        );
      }
      await source.read(offset, into, signal);
    },
    close: () => source.close(),
  };
}

function* rawExtents(source: ByteSource, range: GuestRange): Generator<Extent> {
  const end = range.offset + range.length;
  let position = range.offset;
  while (position < end) {
    const found = source.holes === undefined ? { start: position, end } : source.holes.nextData(position);
    const dataStart = Math.min(found?.start ?? end, end);
    if (dataStart > position) yield rawExtent(position, dataStart, 'zero');
    if (found === undefined || dataStart >= end) return;
    const dataEnd = Math.min(found.end, end);
    assert(dataEnd > dataStart, 'a data range of a file is not empty');
    yield rawExtent(dataStart, dataEnd, 'data');
    position = dataEnd;
  }
}

function rawExtent(start: number, end: number, state: 'data' | 'zero'): Extent {
  return { offset: start, length: end - start, state, compressed: false, hostOffset: start };
}

function rawLayout(request: LayoutRequest): TargetLayout {
  rejectUnknownOptions('raw', request.options, []);
  return {
    format: 'raw',
    virtualSize: request.virtualSize,
    unitSize: RAW_UNIT_SIZE,
    files: [{ name: '', guestOffset: 0, guestLength: request.virtualSize, placement: 'fixed', hostOffset: 0 }],
    ascending: false,
    parameters: {},
  };
}

async function finishRaw(context: FinishContext): Promise<void> {
  const sink = context.sinks[0];
  assert(sink !== undefined, 'a raw image has one file');
  await sink.truncate(context.layout.virtualSize);
  await sink.flush();
}
