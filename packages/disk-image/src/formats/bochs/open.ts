import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import { alignUp } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { RecentTables } from '../../image/recent-tables.ts';
import { recentTables } from '../../image/recent-tables.ts';
import { sharedTables } from '../../image/shared-tables.ts';
import type { BochsHeader } from './header.ts';
import { UNALLOCATED } from './header.ts';

const SECTOR = 512;
/** Bitmaps kept in memory: at most 32 KiB each. */
const MAX_BITMAPS = 128;

interface Redolog {
  readonly header: BochsHeader;
  readonly catalog: Uint32Array;
  readonly bitmaps: RecentTables<Uint8Array>;
  /** Byte offset of the stored extent with the given number: its bitmap, then its sectors. */
  extentOffset(number: number): number;
  readonly bitmapBytes: number;
}

/** The disk behind a header that has been examined and found whole. Throws `truncated`. */
export async function openBochs(source: ByteSource, header: BochsHeader, info: ImageInfo): Promise<DiskImage> {
  const bytes = await readBytes(source, header.headerSize, header.catalogEntries * 4);
  const view = new DataView(bytes.buffer);
  const catalog = Uint32Array.from({ length: header.catalogEntries }, (_, i) => view.getUint32(i * 4, true));
  const bitmapBytes = alignUp(header.bitmapSize, SECTOR);
  const firstExtent = header.headerSize + bytes.length;
  const extentOffset = (number: number): number => firstExtent + number * (bitmapBytes + header.extentSize);
  refuseSharedExtents(header, catalog);
  const isHole = holeTest(source);
  const bitmaps = recentTables(MAX_BITMAPS, async (number) => {
    const offset = extentOffset(number);
    return isHole(offset, header.bitmapSize)
      ? new Uint8Array(header.bitmapSize)
      : readBytes(source, offset, header.bitmapSize);
  });
  return mappedImage(source, info, redologMap({ header, catalog, bitmaps, extentOffset, bitmapBytes }));
}

function refuseSharedExtents(header: BochsHeader, catalog: Uint32Array): void {
  const numbers = Float64Array.from(catalog, (number) => (number === UNALLOCATED ? 0 : number + 1));
  const shared = sharedTables(numbers, header.bitmapSize * 8);
  if (shared === undefined) return;
  const place = { format: 'bochs', structure: 'catalog', offset: header.headerSize };
  throw new ImageError('corrupt', `${shared} entries of the catalog name extents that others name too`, place);
}

function redologMap(redolog: Redolog): GuestMap {
  const { extentSize } = redolog.header;
  return {
    async run(offset, end, signal) {
      const index = Math.floor(offset / extentSize);
      const number = redolog.catalog[index] ?? UNALLOCATED;
      if (number === UNALLOCATED) return { state: 'absent', length: absentLength(redolog, offset, end) };
      const bitmap = await redolog.bitmaps.get(number, signal);
      const start = index * extentSize;
      const run = sectorRun(bitmap, offset - start, Math.min(end, start + extentSize) - start);
      if (run.state === 'absent') return run;
      return { ...run, hostOffset: redolog.extentOffset(number) + redolog.bitmapBytes + offset - start };
    },
  };
}

function absentLength({ header, catalog }: Redolog, offset: number, end: number): number {
  let next = Math.floor(offset / header.extentSize) + 1;
  while (next * header.extentSize < end && catalog[next] === UNALLOCATED) next++;
  return Math.min(end, next * header.extentSize) - offset;
}

/** Sectors from the byte `start` to `end` of an extent that are all written or all not. One bit a sector, lowest first. */
function sectorRun(bitmap: Uint8Array, start: number, end: number): GuestRun {
  const written = (sector: number): boolean => (((bitmap[sector >> 3] ?? 0) >> (sector & 7)) & 1) === 1;
  const first = Math.floor(start / SECTOR);
  const isWritten = written(first);
  let next = first + 1;
  while (next * SECTOR < end && written(next) === isWritten) next++;
  return { state: isWritten ? 'data' : 'absent', length: Math.min(end, next * SECTOR) - start };
}
