import { findDriver } from '../format-names.ts';
import type { CreateValues } from './given-create-options.ts';

/** What qemu-img says of create options that do not go together or have no such value; undefined when they do. */
export function valueFault(driver: string, values: CreateValues): string | undefined {
  return CHECKS[driver]?.(values) ?? preallocationFault(driver, values);
}

type Check = (values: CreateValues) => string | undefined;

const CHECKS: Readonly<Record<string, Check>> = {
  qcow2: qcow2Fault,
  vmdk: vmdkFault,
  vpc: (values) => choiceFault(values, 'subformat', ['dynamic', 'fixed']),
  vhdx: vhdxFault,
};

const PREALLOCATION: readonly string[] = ['off', 'metadata', 'falloc', 'full'];

function preallocationFault(driver: string, values: CreateValues): string | undefined {
  const mode = values.get('preallocation') ?? 'off';
  if (driver === 'qcow2') return choiceFault(values, 'preallocation', PREALLOCATION);
  if (!PREALLOCATION.includes(mode)) return `invalid parameter value: ${mode}`;
  return mode === 'metadata' ? `Unsupported preallocation mode: ${mode}` : undefined;
}

/** The words of options that QEMU reads as members of its interface. */
function choiceFault(
  values: CreateValues,
  name: string,
  choices: readonly string[],
  shownName: string = name,
): string | undefined {
  const value = values.get(name);
  if (value === undefined || choices.includes(value)) return undefined;
  return `Parameter '${shownName}' does not accept value '${value}'`;
}

const MIN_CLUSTER_SIZE = 512;
const MAX_CLUSTER_SIZE = 2 * 2 ** 20;
const MIN_EXTENDED_CLUSTER_SIZE = 16384;
const MAX_REFCOUNT_BITS = 64;
const NEWER = '(use version=v3 or greater)';

function qcow2Fault(values: CreateValues): string | undefined {
  const choice =
    choiceFault(values, 'compat', ['0.10', '1.1', 'v2', 'v3'], 'version') ??
    choiceFault(values, 'compression_type', ['zlib', 'zstd'], 'compression-type');
  if (choice !== undefined) return choice;
  const backingFormat = values.get('backing_fmt');
  if (backingFormat !== undefined && findDriver(backingFormat) === undefined) {
    return `Parameter 'backing-fmt' does not accept value '${backingFormat}'`;
  }
  const clusterSize = Number(values.get('cluster_size') ?? 65536);
  if (clusterSize < MIN_CLUSTER_SIZE || clusterSize > MAX_CLUSTER_SIZE || !isPowerOfTwo(clusterSize)) {
    return 'Cluster size must be a power of two between 512 and 2048k';
  }
  const compat = values.get('compat');
  const isOld = compat === '0.10' || compat === 'v2';
  const isOn = (name: string): boolean => values.get(name) === 'on';
  if (isOn('extended_l2')) {
    if (clusterSize < MIN_EXTENDED_CLUSTER_SIZE) {
      return `Extended L2 entries are only supported with cluster sizes of at least ${MIN_EXTENDED_CLUSTER_SIZE} bytes`;
    }
    if (isOld) return `Extended L2 entries are only supported with compatibility level 1.1 and above ${NEWER}`;
  }
  if (isOld && isOn('lazy_refcounts')) {
    return `Lazy refcounts only supported with compatibility level 1.1 and above ${NEWER}`;
  }
  const refcountBits = Number(values.get('refcount_bits') ?? 16);
  if (refcountBits < 1 || refcountBits > MAX_REFCOUNT_BITS || !isPowerOfTwo(refcountBits)) {
    return 'Refcount width must be a power of two and may not exceed 64 bits';
  }
  if (isOld && refcountBits !== 16) {
    return `Different refcount widths than 16 bits require compatibility level 1.1 or above ${NEWER}`;
  }
  if (isOn('data_file_raw') && !values.has('data_file')) return 'data-file-raw requires data-file';
  if (isOld && (values.get('compression_type') ?? 'zlib') !== 'zlib') {
    return `Non-zlib compression type is only supported with compatibility level 1.1 and above ${NEWER}`;
  }
  return undefined;
}

const VMDK_CHOICES: Readonly<Record<string, readonly string[]>> = {
  adapter_type: ['ide', 'lsilogic', 'buslogic', 'legacyESX'],
  subformat: ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized'],
};

function vmdkFault(values: CreateValues): string | undefined {
  for (const [name, choices] of Object.entries(VMDK_CHOICES)) {
    const value = values.get(name);
    if (value !== undefined && !choices.includes(value)) return `invalid parameter value: ${value}`;
  }
  const isFlat = values.get('subformat')?.endsWith('Flat') === true;
  if (values.get('compat6') === 'on' && (values.get('hwversion') ?? 'undefined') !== 'undefined') {
    return 'compat6 cannot be enabled with hwversion set';
  }
  if (isFlat && values.has('backing_file')) return "Flat image can't have backing file";
  if (isFlat && values.get('zeroed_grain') === 'on') return "Flat image can't enable zeroed grain";
  if (values.has('backing_file') && (values.get('backing_fmt') ?? 'vmdk') !== 'vmdk') {
    return 'backing_file must be a vmdk image';
  }
  return undefined;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;

function vhdxFault(values: CreateValues): string | undefined {
  const logSize = Number(values.get('log_size') ?? MIB);
  if (logSize >= 4 * GIB) return 'Log size must be smaller than 4 GB';
  if (logSize === 0) return 'Log size must be a multiple of 1 MB';
  const blockSize = vhdxBlockSize(Number(values.get('block_size') ?? 0));
  if (blockSize !== 0 && !isPowerOfTwo(blockSize)) return 'Block size must be a power of two';
  return choiceFault(values, 'subformat', ['dynamic', 'fixed']);
}

const MAX_VHDX_BLOCK_SIZE = 256 * MIB;

/** What QEMU makes of a block size: whole MiB, at most 256 of them; 0 stays for "choose one". */
export function vhdxBlockSize(given: number): number {
  return Math.min(MAX_VHDX_BLOCK_SIZE, wholeMebibytes(given));
}

/** Bytes rounded up to MiB. */
export function wholeMebibytes(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
