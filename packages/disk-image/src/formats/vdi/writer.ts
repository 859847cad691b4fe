import { seededUuid } from '../../bytes/guid.ts';
import { alignUp, isPowerOfTwo } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { FormatWriter, LayoutRequest, OptionDescription } from '../../image/format.ts';
import { booleanOption, rejectUnknownOptions, sizeOption, uuidOption } from '../../image/options.ts';
import type { TargetFile, TargetLayout } from '../../image/target.ts';
import { finishVdi } from './finish.ts';
import { HEADER_BYTES } from './header.ts';
import { vdiLikeness } from './likeness.ts';
import { newImage } from './new-image.ts';
import { MAX_BLOCK_MAP_BYTES, MAX_BLOCK_SIZE, MIN_NEW_BLOCK_SIZE, SECTOR_SIZE } from './limits.ts';

const DEFAULT_BLOCK_SIZE: number = 2 ** 20;
/** Guest bytes that are looked at for zeros together. */
const MAX_UNIT_SIZE: number = 64 * 1024;
const STATIC_UNIT_SIZE = 4096;
/** The first block begins at a multiple of this, so that blocks lie on the pages of the file system. */
const DATA_ALIGNMENT = 4096;

const OPTIONS: readonly OptionDescription[] = [
  {
    name: 'static',
    values: 'on|off',
    default: 'off',
    summary: 'Give every block its place in the file in advance',
  },
  {
    name: 'block_size',
    values: `a power of two from ${MIN_NEW_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
    default: '1M',
    summary: 'Guest bytes that are stored together; qemu-img reads 1M only, VirtualBox all',
  },
  { name: 'uuid', values: 'a UUID', default: 'of the content', summary: 'What VirtualBox knows the image by' },
];

/** Writes dynamic and static images of version 1.1. */
export const vdiWriter: FormatWriter = {
  options: OPTIONS,
  likeness: vdiLikeness,
  layout: vdiLayout,
  encoder: () => ({
    maxStoredLength: 0,
    encode: (unit) => ({ verbatim: true, length: unit.length, alignment: 1, detail: 0 }),
  }),
  finish: finishVdi,
  measure(layout, dataUnits) {
    const { dataOffset, blockSize, blockCount, imageType } = newImage(layout);
    const fullyAllocated = dataOffset + blockCount * blockSize;
    const dynamic = dataOffset + Math.min(dataUnits, blockCount) * blockSize;
    const stored = dataOffset + Math.min(dataUnits * layout.unitSize, layout.virtualSize);
    return { required: imageType === 'static' ? stored : dynamic, fullyAllocated };
  },
};

/**
 * Header, block map, then the blocks. The disk ends on a sector. Throws `out_of_bounds` for bad options and for a disk
 * that needs a larger block map than readers accept.
 */
function vdiLayout(request: LayoutRequest): TargetLayout {
  const { options, seed } = request;
  rejectUnknownOptions('vdi', options, OPTIONS);
  const imageType = booleanOption(options, 'static', false) ? 'static' : 'dynamic';
  const blockSize = blockSizeOption(request);
  const virtualSize = alignUp(request.virtualSize, SECTOR_SIZE);
  const mapBytes = Math.ceil(virtualSize / blockSize) * 4;
  if (mapBytes > MAX_BLOCK_MAP_BYTES) {
    const largest = (MAX_BLOCK_MAP_BYTES / 4) * blockSize;
    const message = `A disk of ${virtualSize} bytes is too large for block_size=${blockSize}, which reaches ${largest} bytes`;
    throw new ImageError('out_of_bounds', message, { format: 'vdi' });
  }
  const dataOffset = alignUp(HEADER_BYTES + mapBytes, DATA_ALIGNMENT);
  const place = { name: '', guestOffset: 0, guestLength: virtualSize, hostOffset: dataOffset };
  const file: TargetFile =
    imageType === 'static'
      ? { ...place, placement: 'fixed' }
      : { ...place, placement: 'append', block: { size: blockSize, prefix: 0, alignment: 1 } };
  return {
    format: 'vdi',
    virtualSize,
    unitSize: imageType === 'static' ? STATIC_UNIT_SIZE : Math.min(MAX_UNIT_SIZE, blockSize),
    files: [file],
    ascending: false,
    parameters: {
      imageType,
      blockSize,
      imageUuid: uuidOption(options, 'uuid') ?? seededUuid(seed, 0),
      modificationUuid: seededUuid(seed, 1),
    },
  };
}

function blockSizeOption({ options }: LayoutRequest): number {
  const blockSize = sizeOption(options, 'block_size') ?? DEFAULT_BLOCK_SIZE;
  if (isPowerOfTwo(blockSize) && blockSize >= MIN_NEW_BLOCK_SIZE && blockSize <= MAX_BLOCK_SIZE) return blockSize;
  throw new ImageError(
    'out_of_bounds',
    `Option block_size=${options['block_size']} is not a power of two from ${MIN_NEW_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
    { format: 'vdi' },
  );
}
