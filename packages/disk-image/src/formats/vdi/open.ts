import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import { normalizeExtents } from '../../image/extent.ts';
import { extentsWithHoles } from '../../image/file-holes.ts';
import type { OpenContext } from '../../image/format.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { BlockMap } from './block-map.ts';
import { blockOffset, isStored, readBlockMap, storedBlockSize } from './block-map.ts';
import { examineVdi } from './examine.ts';
import type { VdiHeader } from './header.ts';
import { readHeader } from './header.ts';

/**
 * Opens dynamic and static images. Throws `unsupported` for undo and differencing images, naming the parent, and what
 * else `examine` finds unsafe: `truncated` when a block reaches beyond the file, `corrupt`, `unsafe`.
 */
export async function openVdi(source: ByteSource, context: OpenContext): Promise<DiskImage> {
  if (context.snapshot !== undefined) {
    throw new ImageError('unsupported', 'A VDI image holds no internal snapshots', { format: 'vdi' });
  }
  const { info, findings } = await examineVdi(source);
  refuseUnsafe('vdi', findings);
  const header = await readHeader(source);
  const disk = mappedImage(source, info, guestMap(header, await readBlockMap(source, header)));
  if (info.subformat !== 'static') return disk;
  return { ...disk, extents: (range) => normalizeExtents(range, extentsWithHoles(source, disk.extents(range))) };
}

function guestMap(header: VdiHeader, map: BlockMap): GuestMap {
  return {
    async run(offset, end) {
      const block = Math.floor(offset / header.blockSize);
      const entry = map.entry(block);
      return isStored(entry) ? storedRun(header, map, { offset, end }) : emptyRun(header, map, { offset, end });
    },
  };
}

interface Piece {
  readonly offset: number;
  readonly end: number;
}

/** Blocks that follow each other in the file are one run, unless something lies between them. */
function storedRun(header: VdiHeader, map: BlockMap, { offset, end }: Piece): GuestRun {
  const { blockSize } = header;
  const first = Math.floor(offset / blockSize);
  const entry = map.entry(first);
  const adjacent = storedBlockSize(header) === blockSize;
  let next = first + 1;
  while (adjacent && next * blockSize < end && map.entry(next) === entry + (next - first)) next++;
  const length = Math.min(end, next * blockSize) - offset;
  return { state: 'data', length, hostOffset: blockOffset(header, entry) + (offset % blockSize) };
}

/** Blocks that were never written and blocks that are said to be zeros are the same where there is no parent. */
function emptyRun(header: VdiHeader, map: BlockMap, { offset, end }: Piece): GuestRun {
  const { blockSize } = header;
  let next = Math.floor(offset / blockSize) + 1;
  while (next * blockSize < end && !isStored(map.entry(next))) next++;
  return { state: 'zero', length: Math.min(end, next * blockSize) - offset };
}
