import type { Format, GivenOptions } from '@diskmorph/disk-image';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { CreateValues } from './given-create-options.ts';

/** What a new image is to be, in the words of our writers. */
export interface WriterRequest {
  readonly format: Format;
  readonly options: GivenOptions;
  /** Space that the file takes at once, where the format itself has no say in it. */
  readonly allocateFile: boolean;
}

/** Options that say something about the image which the writer gets in another way, or that change nothing. */
const NOT_FOR_WRITERS: ReadonlySet<string> = new Set([
  'size',
  'backing_file',
  'backing_fmt',
  'nocow',
  'extent_size_hint',
]);

/** Translates create options. `refuse` makes a failure of a message. Throws what it makes. */
export function writerRequest(
  format: Format,
  values: CreateValues,
  wishes: { readonly compressed: boolean; readonly refuse: (message: string) => Failure },
): WriterRequest {
  const { refuse } = wishes;
  const driver = qemuName(format.name);
  checkValues(driver, values, refuse);
  const options: Record<string, string> = {};
  for (const [name, value] of values) {
    if (NOT_FOR_WRITERS.has(name) || (name === 'preallocation' && driver !== 'qcow2')) continue;
    if (name === 'hwversion' && value === 'undefined') continue;
    if (name === 'compat6' && value === 'off') continue;
    options[name] = value;
  }
  if (driver === 'vhdx' && options['block_size'] === '0') delete options['block_size'];
  if (wishes.compressed) compress(driver, options, refuse);
  const whole = isWhole(values.get('preallocation'));
  return {
    format,
    options,
    allocateFile: driver !== 'qcow2' && whole && holdsAllBytes(driver, options),
  };
}

function isWhole(preallocation: string | undefined): boolean {
  return preallocation === 'full' || preallocation === 'falloc';
}

/** Formats that keep every guest byte at its own place anyway: holes in their files are what there is to fill. */
function holdsAllBytes(driver: string, options: GivenOptions): boolean {
  const subformat = options['subformat'] ?? '';
  return driver === 'raw' || subformat === 'fixed' || subformat.endsWith('Flat') || options['static'] === 'on';
}

function compress(driver: string, options: Record<string, string>, refuse: (message: string) => Failure): void {
  if (driver === 'qcow2') {
    if ((options['preallocation'] ?? 'off') !== 'off') {
      throw new Failure('Compression and preallocation not supported at the same time');
    }
    options['compression'] = options['compression_type'] ?? 'zlib';
  } else if (driver !== 'vmdk') throw new Failure('Compression not supported for this file format');
  else if ((options['subformat'] ?? 'monolithicSparse') !== 'streamOptimized') {
    throw refuse('only the subformat streamOptimized holds compressed data');
  }
}

const QCOW2_PREALLOCATION: ReadonlySet<string> = new Set(['off', 'metadata', 'falloc', 'full']);
const FILE_PREALLOCATION: ReadonlySet<string> = new Set(['off', 'falloc', 'full']);

/** Refuses in the words that callers look for what our writers would refuse in their own. */
function checkValues(driver: string, values: CreateValues, refuse: (message: string) => Failure): void {
  for (const name of values.keys()) {
    if (name.startsWith('encrypt') && values.get(name) !== 'off') throw refuse('Encrypted images cannot be written');
  }
  const mode = values.get('preallocation');
  if (mode !== undefined && !QCOW2_PREALLOCATION.has(mode)) {
    throw refuse(`Parameter 'preallocation' does not accept value '${mode}'`);
  }
  if (mode !== undefined && driver !== 'qcow2' && !FILE_PREALLOCATION.has(mode)) {
    throw refuse(`Unsupported preallocation mode: ${mode}`);
  }
  if (driver === 'qcow2') checkQcow2(values, refuse);
  if (driver === 'vmdk') checkChoice(values, 'subformat', VMDK_SUBFORMATS, refuse);
}

const VMDK_SUBFORMATS: readonly string[] = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
];

function checkChoice(
  values: CreateValues,
  name: string,
  choices: readonly string[],
  refuse: (message: string) => Failure,
): void {
  const value = values.get(name);
  if (value !== undefined && !choices.includes(value)) throw refuse(`invalid parameter value: ${value}`);
}

const MIN_CLUSTER_SIZE = 512;
const MAX_CLUSTER_SIZE = 2 * 2 ** 20;
const MAX_REFCOUNT_BITS = 64;

function checkQcow2(values: CreateValues, refuse: (message: string) => Failure): void {
  const clusterSize = Number(values.get('cluster_size') ?? 65536);
  if (clusterSize < MIN_CLUSTER_SIZE || clusterSize > MAX_CLUSTER_SIZE || !isPowerOfTwo(clusterSize)) {
    throw refuse('Cluster size must be a power of two between 512 and 2048k');
  }
  const refcountBits = Number(values.get('refcount_bits') ?? 16);
  if (refcountBits < 1 || refcountBits > MAX_REFCOUNT_BITS || !isPowerOfTwo(refcountBits)) {
    throw refuse('Refcount width must be a power of two and may not exceed 64 bits');
  }
  const compat = values.get('compat');
  if ((compat === '0.10' || compat === 'v2') && values.get('lazy_refcounts') === 'on') {
    throw refuse('Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)');
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
