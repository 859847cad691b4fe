import { alignUp, isPowerOfTwo } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { GivenOptions, OptionDescription } from '../../image/format.ts';
import { booleanOption, choiceOption, rejectUnknownOptions, sizeOption, uuidOption } from '../../image/options.ts';
import type { RoundedSize } from './geometry.ts';
import { MAX_GEOMETRY, roundToGeometry } from './geometry.ts';
import { MAX_DISK_SIZE, MAX_NEW_BLOCK_SIZE, MIN_NEW_BLOCK_SIZE, SECTOR_SIZE } from './limits.ts';

/** What a new disk is to be. */
export interface CreateOptions {
  readonly subformat: 'dynamic' | 'fixed';
  readonly blockSize: number;
  /** What the size of the disk is rounded up to. */
  readonly rounding: 'geometry' | 'sector' | 'mebibyte';
  /** Undefined to derive one from the content. */
  readonly uniqueId: string | undefined;
}

const DEFAULT_BLOCK_SIZE: number = 2 * 2 ** 20;
const MEBIBYTE: number = 2 ** 20;

/** The options of the writer: qemu-img's, and three of our own. */
export const CREATE_OPTIONS: readonly OptionDescription[] = [
  { name: 'subformat', values: 'dynamic|fixed', default: 'dynamic', summary: 'Store blocks as needed, or every byte' },
  {
    name: 'force_size',
    values: 'on|off',
    default: 'off',
    summary: 'Keep the size instead of rounding it up to a disk geometry; Virtual PC wants a geometry',
  },
  {
    name: 'block_size',
    values: `a power of two from ${MIN_NEW_BLOCK_SIZE} to ${MAX_NEW_BLOCK_SIZE}`,
    default: '2M',
    summary: 'Guest bytes that a dynamic disk stores together; Hyper-V knows 512k and 2M',
  },
  { name: 'unique_id', values: 'a UUID', default: 'of the content', summary: 'What the footer has as unique id' },
  {
    name: 'azure',
    values: 'on|off',
    default: 'off',
    summary: 'What Azure takes: subformat=fixed and force_size=on, the size rounded up to a whole MiB',
  },
];

/** The options that were given. Throws `out_of_bounds`, naming option and choices, also for two that exclude each other. */
export function parseCreateOptions(given: GivenOptions): CreateOptions {
  rejectUnknownOptions('vhd', given, CREATE_OPTIONS);
  const azure = booleanOption(given, 'azure', false);
  const subformat = choiceOption(given, 'subformat', ['dynamic', 'fixed'], azure ? 'fixed' : 'dynamic');
  const forceSize = booleanOption(given, 'force_size', azure);
  if (azure && (subformat !== 'fixed' || !forceSize)) {
    throw bad('Option azure=on excludes subformat=dynamic and force_size=off: Azure takes neither');
  }
  if (given['block_size'] !== undefined && subformat === 'fixed') {
    throw bad('Option block_size works with subformat=dynamic only');
  }
  const rounding = azure ? 'mebibyte' : forceSize ? 'sector' : 'geometry';
  return { subformat, blockSize: blockSizeOption(given), rounding, uniqueId: uuidOption(given, 'unique_id') };
}

function blockSizeOption(given: GivenOptions): number {
  const blockSize = sizeOption(given, 'block_size') ?? DEFAULT_BLOCK_SIZE;
  const inRange = blockSize >= MIN_NEW_BLOCK_SIZE && blockSize <= MAX_NEW_BLOCK_SIZE;
  if (inRange && isPowerOfTwo(blockSize)) return blockSize;
  throw bad(
    `Option block_size=${given['block_size']} is not a power of two from ${MIN_NEW_BLOCK_SIZE} to ${MAX_NEW_BLOCK_SIZE}`,
  );
}

/**
 * The size that a disk of at least `size` bytes gets. A disk whose size is kept has the largest geometry, by which readers
 * know that the current size counts. Throws `out_of_bounds` above 2040 GiB.
 */
export function newDiskSize({ rounding }: CreateOptions, size: number): RoundedSize {
  const rounded =
    rounding === 'geometry'
      ? roundToGeometry(size)
      : { virtualSize: alignUp(size, rounding === 'sector' ? SECTOR_SIZE : MEBIBYTE), geometry: MAX_GEOMETRY };
  if (rounded.virtualSize <= MAX_DISK_SIZE) return rounded;
  throw bad(`A disk of ${size} bytes is larger than a VHD can be; ${MAX_DISK_SIZE} is the most`);
}

function bad(message: string): ImageError {
  return new ImageError('out_of_bounds', message, { format: 'vhd' });
}
