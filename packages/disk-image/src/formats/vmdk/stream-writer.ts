import type { Codecs } from '../../bytes/codecs.ts';
import { alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { FinishContext, TargetLayout, UnitEncoder } from '../../image/target.ts';
import { encodeMarker, GRAIN_MARKER_SIZE, putGrainMarker } from './marker.ts';
import { SECTOR_SIZE } from './sector.ts';
import { encodeSparseHeader, SPARSE_HEADER_SIZE } from './sparse-header.ts';
import {
  NEW_DESCRIPTOR_SIZE,
  NEW_GRAIN_SIZE,
  NEW_TABLE_SIZE,
  newDirectorySize,
  newTableCount,
} from './sparse-layout.ts';
import { embeddedDescriptor } from './sparse-writer.ts';
import { storedZlibLength, storeZlib } from './stored-zlib.ts';
import { tableBatches } from './table-batches.ts';
import { compressionLevel, layoutParameters } from './writer-options.ts';

/** The first grain of a stream: header and descriptor are followed by nothing up to 64 KiB, as VMware's exports have it. */
export const STREAM_OVERHEAD: number = NEW_GRAIN_SIZE;
/** The version that VMware's importers want of a stream-optimized extent. */
const STREAM_VERSION = 3;

/** The most bytes that a grain takes with its marker and padding: when it does not shrink. */
export const MAX_STREAM_GRAIN: number = alignUp(GRAIN_MARKER_SIZE + storedZlibLength(NEW_GRAIN_SIZE), SECTOR_SIZE);

/** Each grain as marker, zlib data, and zeros up to the next sector. Virtual Disk Format 5.0, "Stream-Optimized Compressed". */
export function streamEncoder(layout: TargetLayout, codecs: Codecs): UnitEncoder {
  const level = compressionLevel(layoutParameters(layout));
  return {
    maxStoredLength: MAX_STREAM_GRAIN,
    encode(unit, guestOffset, into) {
      const room = into.subarray(GRAIN_MARKER_SIZE, MAX_STREAM_GRAIN);
      const compressed = codecs.compress('zlib', level, unit, room);
      const dataLength = compressed === 0 ? storeZlib(unit, room) : compressed;
      putGrainMarker(into, { guestOffset, dataLength });
      const length = alignUp(GRAIN_MARKER_SIZE + dataLength, SECTOR_SIZE);
      into.fill(0, GRAIN_MARKER_SIZE + dataLength, length);
      return { verbatim: false, length, alignment: SECTOR_SIZE, detail: 0 };
    },
  };
}

/** Header and descriptor: everything before the first grain. The footer will say where the grain directory is. */
export function streamPrologue(layout: TargetLayout): Uint8Array {
  const bytes = new Uint8Array(STREAM_OVERHEAD);
  bytes.set(streamHeader(layout, 'at-end'));
  bytes.set(embeddedDescriptor(layout, layoutParameters(layout)), SPARSE_HEADER_SIZE);
  return bytes;
}

function streamHeader(layout: TargetLayout, directoryOffset: number | 'at-end'): Uint8Array {
  return encodeSparseHeader({
    version: STREAM_VERSION,
    capacity: layout.virtualSize,
    grainSize: NEW_GRAIN_SIZE,
    descriptorOffset: SPARSE_HEADER_SIZE,
    descriptorSize: NEW_DESCRIPTOR_SIZE,
    redundantDirectoryOffset: 0,
    directoryOffset,
    overhead: STREAM_OVERHEAD,
    features: ['compressed'],
  });
}

/**
 * Ends the stream behind its grains, in ascending order: each grain table behind its marker, the grain directory
 * behind its own, footer marker and footer, end-of-stream marker.
 */
export async function finishStream(context: FinishContext): Promise<void> {
  const { layout, runs } = context;
  const sink = context.sinks[0];
  assert(sink !== undefined && layout.files.length === 1, 'a stream is one file');
  let position = alignUp(context.ends[0] ?? STREAM_OVERHEAD, SECTOR_SIZE);
  const put = async (bytes: Uint8Array): Promise<void> => {
    await sink.write(position, bytes);
    position += bytes.length;
  };
  const directory = new Uint8Array(newDirectorySize(layout.virtualSize));
  const entries = new DataView(directory.buffer);
  for await (const batch of tableBatches(layout, runs)) {
    for (let slot = 0; slot < batch.tableCount; slot++) {
      const table = batch.bytes.subarray(slot * NEW_TABLE_SIZE, (slot + 1) * NEW_TABLE_SIZE);
      entries.setUint32((batch.firstTable + slot) * 4, (position + SECTOR_SIZE) / SECTOR_SIZE, true);
      await put(markedTable(table));
    }
  }
  await put(encodeMarker('grain-directory', directory.length));
  const directoryOffset = position;
  await put(directory);
  await put(encodeMarker('footer', SPARSE_HEADER_SIZE));
  await put(streamHeader(layout, directoryOffset));
  await put(encodeMarker('end-of-stream', 0));
  await sink.flush();
}

function markedTable(table: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(SECTOR_SIZE + NEW_TABLE_SIZE);
  bytes.set(encodeMarker('grain-table', NEW_TABLE_SIZE));
  bytes.set(table, SECTOR_SIZE);
  return bytes;
}

/** Bytes behind the grains when `tables` grain tables hold some. */
export function streamTrailerSize(capacity: number, tables: number): number {
  const used = Math.min(tables, newTableCount(capacity));
  return used * (SECTOR_SIZE + NEW_TABLE_SIZE) + newDirectorySize(capacity) + 4 * SECTOR_SIZE;
}
