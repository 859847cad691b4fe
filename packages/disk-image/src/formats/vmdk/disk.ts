import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { Extent, GuestRange } from '../../image/extent.ts';
import { normalizeExtents } from '../../image/extent.ts';
import { ownFile } from '../../image/file-holes.ts';
import type { OpenContext } from '../../image/format.ts';
import { readAnatomy } from './anatomy.ts';
import type { Descriptor, ExtentLine } from './descriptor.ts';
import type { ExtentReader } from './extent-reader.ts';
import { refuseFaults, vmdkError } from './fault.ts';
import { flatExtent, zeroExtent } from './flat-extent.ts';
import { diskInfo } from './disk-info.ts';
import { openSparseExtent, readSparseHeader } from './sparse-extent.ts';

/** One extent in its place on the disk. */
interface PlacedExtent {
  readonly reader: ExtentReader;
  /** Guest offset on the disk. */
  readonly start: number;
  /** Guest bytes of the disk that it holds. */
  readonly length: number;
  /** The file that its host offsets count in, as the descriptor names it; undefined for the image's own. */
  readonly file: string | undefined;
}

/**
 * Opens the disk that begins in `source`: a sparse extent with its descriptor inside, or a descriptor whose extents
 * come through `context.references`. Throws what `anatomy` finds, what the policy says, and what the extents deserve.
 */
export async function openDisk(source: ByteSource, context: OpenContext): Promise<DiskImage> {
  if (context.snapshot !== undefined) {
    throw vmdkError('unsupported', 'A VMDK holds no internal snapshots', 'descriptor');
  }
  const anatomy = await readAnatomy(source);
  refuseFaults(anatomy.faults);
  const info = diskInfo(anatomy);
  if (anatomy.kind === 'sparse') {
    const reader = await openSparseExtent(source, anatomy.header, context.codecs);
    return diskImage(info, [{ reader, start: 0, length: reader.length, file: undefined }], source);
  }
  if (anatomy.kind === 'esx') throw new Error('assertion failed: ESX extents are refused');
  return diskImage(info, await openExtents(anatomy.descriptor, context), source);
}

async function openExtents(descriptor: Descriptor, context: OpenContext): Promise<PlacedExtent[]> {
  const extents: PlacedExtent[] = [];
  let start = 0;
  try {
    for (const line of descriptor.extents) {
      const reader = await openExtent(line, context);
      extents.push({ reader, start, length: line.length, file: line.name ?? '' });
      if (reader.length < line.length) throw shortExtent(line, reader);
      start += line.length;
    }
  } catch (error) {
    await Promise.all(extents.map((extent) => extent.reader.close()));
    throw error;
  }
  return extents;
}

function shortExtent(line: ExtentLine, reader: ExtentReader): Error {
  return vmdkError(
    'corrupt',
    `An extent holds ${reader.length} bytes, but the descriptor gives it ${line.length}`,
    'sparse extent header',
  );
}

/** The policy is asked only for names that `descriptorFaults` has let pass. */
async function openExtent(line: ExtentLine, context: OpenContext): Promise<ExtentReader> {
  if (line.type === 'ZERO') return zeroExtent(line);
  const { source } = await context.references({ kind: 'extent', name: line.name ?? '' });
  try {
    if (line.type === 'FLAT') return flatExtent(source, line);
    return await openSparseExtent(source, await readSparseHeader(source), context.codecs);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function diskImage(info: ImageInfo, extents: readonly PlacedExtent[], descriptor: ByteSource): DiskImage {
  const own = extents.some((extent) => extent.file === undefined);
  return {
    info,
    virtualSize: info.virtualSize,
    ...(own ? ownFile(descriptor) : {}),
    extents: (range) => normalizeExtents(range, diskExtents(extents, range)),
    async read(offset, into, signal) {
      const end = offset + into.length;
      if (offset < 0 || end > info.virtualSize) {
        throw new ImageError(
          'out_of_bounds',
          `Bytes ${offset} to ${end} are outside a disk of ${info.virtualSize} bytes`,
          { format: 'vmdk' },
        );
      }
      for (let position = offset; position < end;) {
        const extent = extentAt(extents, position);
        const stop = Math.min(end, extent.start + extent.length);
        await extent.reader.read(position - extent.start, into.subarray(position - offset, stop - offset), signal);
        position = stop;
      }
    },
    async close() {
      await Promise.all(extents.map((extent) => extent.reader.close()));
      if (!own) await descriptor.close();
    },
  };
}

/** The extent that holds the guest byte; a binary search, as there may be thousands. */
function extentAt(extents: readonly PlacedExtent[], position: number): PlacedExtent {
  let low = 0;
  let high = extents.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((extents[middle]?.start ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  const found = extents[low];
  if (found === undefined) throw new Error('assertion failed: a disk has extents');
  return found;
}

async function* diskExtents(extents: readonly PlacedExtent[], range: GuestRange): AsyncGenerator<Extent> {
  const end = range.offset + range.length;
  for (let position = range.offset; position < end;) {
    const placed = extentAt(extents, position);
    const stop = Math.min(end, placed.start + placed.length);
    const part = { offset: position - placed.start, length: stop - position };
    for await (const extent of placed.reader.extents(part)) {
      const moved: Extent = {
        offset: extent.offset + placed.start,
        length: extent.length,
        state: extent.state,
        compressed: extent.compressed,
      };
      const { hostOffset } = extent;
      if (hostOffset === undefined) yield moved;
      else if (placed.file === undefined) yield { ...moved, hostOffset };
      else yield { ...moved, hostOffset, hostFile: placed.file };
    }
    position = stop;
  }
}
