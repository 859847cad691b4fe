import type { DiskImage, Extent, GuestRange } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';

/** What is given up together when it cannot be read. */
const SECTOR_SIZE = 512;
/** Pieces that are tried before single sectors. */
const PIECE_SIZE = 64 * 1024;

/** The disk with zeros where it cannot be read, sector by sector; each such sector is reported. */
export function salvagedImage(image: DiskImage, report: (offset: number, error: unknown) => void): DiskImage {
  const read = async (offset: number, into: Uint8Array, signal: AbortSignal | undefined): Promise<void> => {
    try {
      await image.read(offset, into, signal);
    } catch (error) {
      if (!(error instanceof ImageError) || error.code === 'aborted') throw error;
      if (into.length <= SECTOR_SIZE) {
        into.fill(0);
        report(offset, error);
        return;
      }
      const part = into.length > PIECE_SIZE ? PIECE_SIZE : SECTOR_SIZE;
      for (let at = 0; at < into.length; at += part) {
        await read(offset + at, into.subarray(at, Math.min(at + part, into.length)), signal);
      }
    }
  };
  return {
    info: image.info,
    virtualSize: image.virtualSize,
    extents: (range) => readableExtents(image, range),
    read,
    close: () => image.close(),
  };
}

/** The map as far as it can be read; what follows may be data. */
async function* readableExtents(image: DiskImage, range: GuestRange): AsyncGenerator<Extent> {
  const end = range.offset + range.length;
  let position = range.offset;
  try {
    for await (const extent of image.extents(range)) {
      yield extent;
      position = extent.offset + extent.length;
    }
  } catch (error) {
    if (!(error instanceof ImageError) || error.code === 'aborted') throw error;
    if (position < end) yield { offset: position, length: end - position, state: 'data', compressed: false };
  }
}
