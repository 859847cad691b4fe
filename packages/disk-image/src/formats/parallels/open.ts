import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { ParallelsHeader } from './header.ts';
import { dataStart, HEADER_BYTES, SECTOR, sectorsPerEntry } from './header.ts';

/**
 * The disk behind a header that has been examined and found whole. Throws `truncated`, and `corrupt` for a block in the
 * header or the table, or when an image that calls itself empty has blocks.
 */
export async function openParallels(source: ByteSource, header: ParallelsHeader, info: ImageInfo): Promise<DiskImage> {
  const bat = await readBat(source, header);
  if (header.isEmpty && bat.some((entry) => entry !== 0)) {
    throw batError('The image calls itself empty, but its table has blocks', 0);
  }
  return mappedImage(source, info, batMap(header, bat));
}

/** The entries of the block allocation table of a header that has been examined. Throws `truncated`. */
export async function readBat(source: ByteSource, header: ParallelsHeader): Promise<Uint32Array> {
  const bytes = await readBytes(source, HEADER_BYTES, header.batEntries * 4);
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: header.batEntries }, (_, i) => view.getUint32(i * 4, true));
}

/** Where an entry of the table lies in the file. */
export function batOffset(entry: number): number {
  return HEADER_BYTES + entry * 4;
}

function batMap(header: ParallelsHeader, bat: Uint32Array): GuestMap {
  const blockSize = header.blockSectors * SECTOR;
  const entrySize = sectorsPerEntry(header) * SECTOR;
  const firstByte = dataStart(header);
  return {
    async run(offset, end): Promise<GuestRun> {
      const first = Math.floor(offset / blockSize);
      const entry = bat[first] ?? 0;
      const step = entry === 0 ? 0 : header.blockSectors / sectorsPerEntry(header);
      let next = first + 1;
      while (next * blockSize < end && bat[next] === entry + (next - first) * step) next++;
      const length = Math.min(end, next * blockSize) - offset;
      if (entry === 0) return { state: 'absent', length };
      if (entry * entrySize < firstByte) throw batError(`Block ${first} lies over the header or the table`, first);
      return { state: 'data', length, hostOffset: entry * entrySize + (offset % blockSize) };
    },
  };
}

function batError(message: string, entry: number): ImageError {
  return new ImageError('corrupt', message, {
    format: 'parallels',
    structure: 'block allocation table',
    offset: batOffset(entry),
  });
}
