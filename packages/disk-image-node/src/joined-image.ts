import type { DiskImage, Extent, GuestRange } from '@diskmorph/disk-image';
import { alignUp, assert, normalizeExtents } from '@diskmorph/disk-image';

/** Each disk begins at a sector; the bytes before it are zeros. */
const SECTOR_SIZE = 512;

/** Disks one behind the other as one; closing it closes all. */
export function joinedImage(parts: readonly DiskImage[]): DiskImage {
  const first = parts[0];
  assert(first !== undefined, 'there is a disk to begin with');
  const placed: PlacedDisk[] = [];
  let end = 0;
  for (const disk of parts) {
    placed.push({ disk, start: end });
    end += alignUp(disk.virtualSize, SECTOR_SIZE);
  }
  return {
    info: { ...first.info, virtualSize: end },
    virtualSize: end,
    extents: (range) => normalizeExtents(range, joinedExtents(placed, range)),
    async read(offset, into, signal) {
      into.fill(0);
      for (const { disk, start } of placed) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + into.length, start + disk.virtualSize);
        if (from < to) await disk.read(from - start, into.subarray(from - offset, to - offset), signal);
      }
    },
    async close() {
      await Promise.all(parts.map((part) => part.close()));
    },
  };
}

interface PlacedDisk {
  readonly disk: DiskImage;
  readonly start: number;
}

async function* joinedExtents(placed: readonly PlacedDisk[], range: GuestRange): AsyncGenerator<Extent> {
  const end = range.offset + range.length;
  for (const { disk, start } of placed) {
    const from = Math.max(range.offset, start);
    const diskEnd = start + disk.virtualSize;
    const to = Math.min(end, diskEnd);
    if (from < to) {
      for await (const extent of disk.extents({ offset: from - start, length: to - from })) {
        const { hostOffset: _verbatim, ...rest } = extent;
        yield { ...rest, offset: extent.offset + start };
      }
    }
    const padStart = Math.max(range.offset, diskEnd);
    const padEnd = Math.min(end, alignUp(diskEnd, SECTOR_SIZE));
    if (padStart < padEnd) yield { offset: padStart, length: padEnd - padStart, state: 'zero', compressed: false };
  }
}
