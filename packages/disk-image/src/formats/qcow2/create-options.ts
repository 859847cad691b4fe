import { isPowerOfTwo } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { GivenOptions, OptionDescription } from '../../image/format.ts';
import { booleanOption, choiceOption, integerOption, rejectUnknownOptions, sizeOption } from '../../image/options.ts';
import { MAX_CLUSTER_BITS, MIN_CLUSTER_BITS, MIN_EXTENDED_L2_CLUSTER_BITS } from './limits.ts';

/** The writer's options; those that `qemu-img create -o` has bear its names and defaults. */
export const CREATE_OPTIONS: readonly OptionDescription[] = [
  { name: 'compat', values: '0.10, 1.1', default: '1.1', summary: 'Version 2 (0.10) or version 3 (1.1)' },
  { name: 'cluster_size', values: '512 to 2M', default: '64k', summary: 'Bytes that are allocated together' },
  { name: 'refcount_bits', values: '1, 2, 4, 8, 16, 32, 64', default: '16', summary: 'Width of a refcount' },
  { name: 'compression', values: 'none, zlib, zstd', default: 'none', summary: 'Compress the data' },
  {
    name: 'compression_level',
    values: '1 to 9 (zlib), 1 to 22 (zstd)',
    default: 'of the codec',
    summary: 'Higher is smaller and slower',
  },
  {
    name: 'compression_type',
    values: 'zlib, zstd',
    default: 'as compression, else zlib',
    summary: 'Method that the header declares for compressed clusters',
  },
  { name: 'lazy_refcounts', values: 'on, off', default: 'off', summary: 'Let QEMU postpone refcount updates' },
  { name: 'extended_l2', values: 'on, off', default: 'off', summary: '32 subclusters in each cluster' },
  {
    name: 'preallocation',
    values: 'off, metadata, falloc, full',
    default: 'off',
    summary: 'metadata: every cluster has its place; falloc and full: and holds its space, zeros written',
  },
  {
    name: 'data_file',
    values: 'a file name',
    default: 'none',
    summary: 'Keep the guest bytes in a file of this name beside the image',
  },
  {
    name: 'data_file_raw',
    values: 'on, off',
    default: 'off',
    summary: 'Declare the data file to be a raw disk by itself',
  },
];

/** A name beside the image: no directory, no protocol, no control character. */
const PLAIN_NAME = /^(?!\.{1,2}$)[^/\\:\p{Cc}]+$/u;

/** What the options come to. Plain data. */
export interface CreateOptions {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly refcountOrder: number;
  readonly compression: 'none' | 'zlib' | 'zstd';
  readonly compressionLevel: number | undefined;
  readonly compressionType: 'zlib' | 'zstd';
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly preallocation: 'off' | 'metadata' | 'full';
  /** The name of the file beside the image that holds the guest bytes, each at its own offset. */
  readonly dataFile: string | undefined;
  /** The data file may be used as a raw disk by itself. */
  readonly dataFileRaw: boolean;
}

const DEFAULT_CLUSTER_BITS = 16;
const DEFAULT_REFCOUNT_ORDER = 4;
const MAX_REFCOUNT_BITS = 64;
const MAX_ZLIB_LEVEL = 9;
const MAX_ZSTD_LEVEL = 22;

/** Checks the options one by one and together. Throws `out_of_bounds`, naming option, value and choices. */
export function parseCreateOptions(given: GivenOptions): CreateOptions {
  rejectUnknownOptions('qcow2', given, CREATE_OPTIONS);
  const compat = choiceOption(given, 'compat', ['0.10', '1.1', 'v2', 'v3'], '1.1');
  const compression = choiceOption(given, 'compression', ['none', 'zlib', 'zstd'], 'none');
  const preallocation = choiceOption(given, 'preallocation', ['off', 'metadata', 'falloc', 'full'], 'off');
  const options: CreateOptions = {
    version: compat === '0.10' || compat === 'v2' ? 2 : 3,
    clusterBits: clusterBits(given),
    refcountOrder: refcountOrder(given),
    compression,
    compressionLevel: compressionLevel(given, compression),
    compressionType: choiceOption(
      given,
      'compression_type',
      ['zlib', 'zstd'],
      compression === 'zstd' ? 'zstd' : 'zlib',
    ),
    lazyRefcounts: booleanOption(given, 'lazy_refcounts', false),
    extendedL2: booleanOption(given, 'extended_l2', false),
    preallocation: preallocation === 'falloc' ? 'full' : preallocation,
    dataFile: given['data_file'],
    dataFileRaw: booleanOption(given, 'data_file_raw', false),
  };
  checkTogether(options);
  return options;
}

function clusterBits(given: GivenOptions): number {
  const size = sizeOption(given, 'cluster_size');
  if (size === undefined) return DEFAULT_CLUSTER_BITS;
  const bits = Math.log2(size);
  if (isPowerOfTwo(size) && bits >= MIN_CLUSTER_BITS && bits <= MAX_CLUSTER_BITS) return bits;
  throw refused(`Option cluster_size=${given['cluster_size']} is not a power of two from 512 to 2M`);
}

function refcountOrder(given: GivenOptions): number {
  const bits = integerOption(given, 'refcount_bits', { min: 1, max: MAX_REFCOUNT_BITS });
  if (bits === undefined) return DEFAULT_REFCOUNT_ORDER;
  if (isPowerOfTwo(bits)) return Math.log2(bits);
  throw refused(`Option refcount_bits=${bits} is not one of 1, 2, 4, 8, 16, 32, 64`);
}

function compressionLevel(given: GivenOptions, compression: 'none' | 'zlib' | 'zstd'): number | undefined {
  if (given['compression_level'] === undefined) return undefined;
  if (compression === 'none') throw refused('Option compression_level needs compression=zlib or compression=zstd');
  const max = compression === 'zlib' ? MAX_ZLIB_LEVEL : MAX_ZSTD_LEVEL;
  return integerOption(given, 'compression_level', { min: 1, max });
}

function checkTogether(options: CreateOptions): void {
  if (options.version === 2) checkVersion2(options);
  if (options.compression !== 'none' && options.compression !== options.compressionType) {
    throw refused(
      `Options compression=${options.compression} and compression_type=${options.compressionType} contradict each other`,
    );
  }
  if (options.extendedL2 && options.clusterBits < MIN_EXTENDED_L2_CLUSTER_BITS) {
    throw refused('Option extended_l2=on needs cluster_size=16k or more');
  }
  checkDataFile(options);
  if (options.compression !== 'none' && options.preallocation !== 'off') {
    throw refused(`Options compression=${options.compression} and preallocation exclude each other`);
  }
}

function checkDataFile({ dataFile, dataFileRaw, compression }: CreateOptions): void {
  if (dataFile === undefined) {
    if (dataFileRaw) throw refused('Option data_file_raw=on needs data_file');
    return;
  }
  if (!PLAIN_NAME.test(dataFile))
    throw refused(`Option data_file=${dataFile} is not the name of a file beside the image`);
  if (compression !== 'none') throw refused('Options data_file and compression exclude each other');
}

function checkVersion2(options: CreateOptions): void {
  const needsVersion3 = [
    options.refcountOrder === DEFAULT_REFCOUNT_ORDER ? '' : `refcount_bits=${2 ** options.refcountOrder}`,
    options.compressionType === 'zlib' ? '' : 'compression_type=zstd',
    options.lazyRefcounts ? 'lazy_refcounts=on' : '',
    options.extendedL2 ? 'extended_l2=on' : '',
    options.dataFile === undefined ? '' : 'data_file',
  ].find((name) => name !== '');
  if (needsVersion3 !== undefined) throw refused(`Option ${needsVersion3} needs compat=1.1`);
}

function refused(message: string): ImageError {
  return new ImageError('out_of_bounds', message, { format: 'qcow2' });
}
