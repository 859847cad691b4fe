import type { Format, GivenOptions } from '@diskmorph/disk-image';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { CreateValues } from './given-create-options.ts';
import { valueFault, vhdxBlockSize, wholeMebibytes } from './value-faults.ts';

/** What a new image is to be, in the words of our writers. */
export interface WriterRequest {
  readonly format: Format;
  readonly options: GivenOptions;
  /** How the files take their space at once, where the format itself has no say in it. */
  readonly allocateFile: 'no' | 'falloc' | 'full';
  /** Every guest byte has its place in a file already, and only its holes take no space. */
  readonly holdsAllBytes: boolean;
}

/** Options that say something about the image which the writer gets in another way, or that change nothing. */
const NOT_FOR_WRITERS: ReadonlySet<string> = new Set([
  'size',
  'backing_file',
  'backing_fmt',
  'nocow',
  'extent_size_hint',
  'encryption',
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
  if (driver === 'vhdx') roundVhdxSizes(options);
  if (wishes.compressed) compress(driver, options, refuse);
  const holdsAll = driver !== 'qcow2' && holdsAllBytes(driver, options);
  return {
    format,
    options,
    allocateFile: holdsAll ? fileAllocation(values.get('preallocation')) : 'no',
    holdsAllBytes: holdsAll,
  };
}

function roundVhdxSizes(options: Record<string, string>): void {
  const { block_size: blockSize, log_size: logSize } = options;
  if (blockSize === '0') delete options['block_size'];
  else if (blockSize !== undefined) options['block_size'] = String(vhdxBlockSize(Number(blockSize)));
  if (logSize !== undefined) options['log_size'] = String(wholeMebibytes(Number(logSize)));
}

function fileAllocation(preallocation: string | undefined): WriterRequest['allocateFile'] {
  return preallocation === 'full' || preallocation === 'falloc' ? preallocation : 'no';
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

/** Refuses in the words that callers look for what our writers would refuse in their own. */
function checkValues(driver: string, values: CreateValues, refuse: (message: string) => Failure): void {
  for (const name of values.keys()) {
    if (name.startsWith('encrypt') && values.get(name) !== 'off') throw refuse('Encrypted images cannot be written');
  }
  const fault = valueFault(driver, values);
  if (fault !== undefined) throw refuse(fault);
}
