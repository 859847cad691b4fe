import { isPowerOfTwo } from '../../bytes/numbers.ts';
import type { GivenOptions, OptionDescription } from '../../image/format.ts';
import { booleanOption, choiceOption, rejectUnknownOptions, sizeOption, uuidOption } from '../../image/options.ts';
import { MAX_BLOCK_SIZE, MAX_LOG_BYTES, MIB, MIN_BLOCK_SIZE } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

const SUBFORMATS = ['dynamic', 'fixed'] as const;
const DEFAULT_LOG_SIZE: number = MIB;

/** The writer's options; those that `qemu-img create -o` has bear its names and defaults. */
export const CREATE_OPTIONS: readonly OptionDescription[] = [
  {
    name: 'subformat',
    values: 'dynamic, fixed',
    default: 'dynamic',
    summary: 'dynamic: blocks take space when they hold data; fixed: every block has its place',
  },
  {
    name: 'block_size',
    values: '1M to 256M',
    default: 'by the size of the disk: 8M to 1 GiB, 16M to 100 GiB, 32M to 32 TiB, else 64M',
    summary: 'Bytes that are allocated together; 0 for the default',
  },
  { name: 'log_size', values: '1M to 4095M', default: '1M', summary: 'Room for the log of later writers' },
  { name: 'logical_sector_size', values: '512, 4096', default: '512', summary: 'Sector size that the guest sees' },
  { name: 'disk_id', values: 'a GUID', default: 'of the content', summary: 'Virtual disk id, which the guest may see' },
  {
    name: 'block_state_zero',
    values: 'on, off',
    default: 'on',
    summary: 'on: empty blocks are said to be zeros; off: they are not present, which leaves their content open',
  },
];

/** What the options come to. Plain data. */
export interface CreateOptions {
  readonly subformat: (typeof SUBFORMATS)[number];
  readonly blockSize: number;
  readonly logSize: number;
  readonly logicalSectorSize: 512 | 4096;
  readonly blockStateZero: boolean;
  /** Undefined to derive one from the content. */
  readonly diskId: string | undefined;
}

/** Checks the options. Throws `out_of_bounds`, naming option, value and choices. */
export function parseCreateOptions(given: GivenOptions, virtualSize: number): CreateOptions {
  rejectUnknownOptions('vhdx', given, CREATE_OPTIONS);
  const sectorSize = choiceOption(given, 'logical_sector_size', ['512', '4096', '4k'], '512');
  return {
    subformat: choiceOption(given, 'subformat', SUBFORMATS, 'dynamic'),
    blockSize: blockSize(given, virtualSize),
    logSize: logSize(given),
    logicalSectorSize: sectorSize === '512' ? 512 : 4096,
    blockStateZero: booleanOption(given, 'block_state_zero', true),
    diskId: uuidOption(given, 'disk_id'),
  };
}

function blockSize(given: GivenOptions, virtualSize: number): number {
  const size = sizeOption(given, 'block_size') ?? 0;
  if (size === 0) return defaultBlockSize(virtualSize);
  if (isPowerOfTwo(size) && size >= MIN_BLOCK_SIZE && size <= MAX_BLOCK_SIZE) return size;
  throw refused(`Option block_size=${given['block_size']} is not a power of two from 1M to 256M`);
}

/** As qemu-img 7.2 chooses, so that the same disk gets the same blocks. */
function defaultBlockSize(virtualSize: number): number {
  if (virtualSize > 32 * 2 ** 40) return 64 * MIB;
  if (virtualSize > 100 * 2 ** 30) return 32 * MIB;
  return virtualSize > 2 ** 30 ? 16 * MIB : 8 * MIB;
}

function logSize(given: GivenOptions): number {
  const size = sizeOption(given, 'log_size') ?? DEFAULT_LOG_SIZE;
  if (size >= MIB && size <= MAX_LOG_BYTES && size % MIB === 0) return size;
  throw refused(`Option log_size=${given['log_size']} is not a whole number of MiB from 1M to 4095M`);
}

function refused(message: string): Error {
  return vhdxError('out_of_bounds', message, 'options');
}
