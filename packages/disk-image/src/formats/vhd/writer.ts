import { seededUuid } from '../../bytes/guid.ts';
import { alignUp } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { FormatWriter, LayoutRequest } from '../../image/format.ts';
import type { TargetFile, TargetLayout } from '../../image/target.ts';
import { bitmapSize, storedBlockSize } from './block-allocation-table.ts';
import type { CreateOptions } from './create-options.ts';
import { CREATE_OPTIONS, newDiskSize, parseCreateOptions } from './create-options.ts';
import { DYNAMIC_HEADER_SIZE } from './dynamic-header.ts';
import { finishVhd } from './finish.ts';
import { FOOTER_SIZE, NEW_HEADER_OFFSET } from './footer.ts';
import { MAX_BAT_BYTES, SECTOR_SIZE } from './limits.ts';
import { vhdLikeness } from './likeness.ts';
import { newDisk } from './new-disk.ts';

/** Guest bytes that are looked at for zeros together. */
const DYNAMIC_UNIT_SIZE: number = 64 * 1024;
const FIXED_UNIT_SIZE = 4096;

/** Writes fixed and dynamic disks. */
export const vhdWriter: FormatWriter = {
  options: CREATE_OPTIONS,
  likeness: vhdLikeness,
  layout: vhdLayout,
  encoder: () => ({
    maxStoredLength: 0,
    encode: (unit) => ({ verbatim: true, length: unit.length, alignment: 1, detail: 0 }),
  }),
  finish: finishVhd,
  measure(layout, dataUnits) {
    const { diskType, blockSize, blockCount, dataOffset } = newDisk(layout);
    if (diskType === 'fixed') {
      const stored = Math.min(layout.virtualSize, dataUnits * layout.unitSize);
      return { required: stored + FOOTER_SIZE, fullyAllocated: layout.virtualSize + FOOTER_SIZE };
    }
    const withBlocks = (blocks: number): number => dataOffset + blocks * storedBlockSize(blockSize) + FOOTER_SIZE;
    return { required: withBlocks(Math.min(dataUnits, blockCount)), fullyAllocated: withBlocks(blockCount) };
  },
};

/**
 * A fixed disk: guest bytes, then the footer. A dynamic disk: copy of the footer, header, block allocation table, blocks
 * each behind its bitmap, footer. Throws `out_of_bounds` for bad options and for a disk that cannot be that large.
 */
function vhdLayout(request: LayoutRequest): TargetLayout {
  const options = parseCreateOptions(request.options);
  const { virtualSize, geometry } = newDiskSize(options, request.virtualSize);
  const { subformat, blockSize } = options;
  const { cylinders, heads, sectorsPerTrack } = geometry;
  return {
    format: 'vhd',
    virtualSize,
    unitSize: subformat === 'fixed' ? FIXED_UNIT_SIZE : DYNAMIC_UNIT_SIZE,
    files: [subformat === 'fixed' ? fixedFile(virtualSize) : dynamicFile(options, virtualSize)],
    ascending: false,
    endsFile: subformat === 'fixed',
    parameters: {
      diskType: subformat,
      blockSize,
      geometry: { cylinders, heads, sectorsPerTrack },
      uniqueId: options.uniqueId ?? seededUuid(request.seed, 0),
    },
  };
}

function fixedFile(virtualSize: number): TargetFile {
  return { name: '', guestOffset: 0, guestLength: virtualSize, placement: 'fixed', hostOffset: 0 };
}

function dynamicFile({ blockSize }: CreateOptions, virtualSize: number): TargetFile {
  const tableSize = Math.ceil(virtualSize / blockSize) * 4;
  if (tableSize > MAX_BAT_BYTES) {
    const largest = (MAX_BAT_BYTES / 4) * blockSize;
    const message = `A disk of ${virtualSize} bytes is too large for block_size=${blockSize}, which reaches ${largest} bytes`;
    throw new ImageError('out_of_bounds', message, { format: 'vhd' });
  }
  return {
    name: '',
    guestOffset: 0,
    guestLength: virtualSize,
    placement: 'append',
    hostOffset: NEW_HEADER_OFFSET + DYNAMIC_HEADER_SIZE + alignUp(tableSize, SECTOR_SIZE),
    block: { size: blockSize, prefix: bitmapSize(blockSize), alignment: SECTOR_SIZE },
  };
}
