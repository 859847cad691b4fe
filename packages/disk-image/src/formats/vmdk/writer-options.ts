import type { GivenOptions, LayoutRequest, OptionDescription } from '../../image/format.ts';
import { booleanOption, choiceOption, integerOption, rejectUnknownOptions } from '../../image/options.ts';
import type { Details } from '../../image/finding.ts';
import type { TargetLayout } from '../../image/target.ts';
import type { Subformat } from './create-type.ts';
import { vmdkError } from './fault.ts';
import type { Parent } from './parent.ts';
import { parentOf } from './parent.ts';

/** What a new disk is, in the words of header and descriptor; plain data, kept in `TargetLayout.parameters`. */
export interface DiskParameters {
  readonly subformat: Subformat;
  readonly adapterType: AdapterType;
  readonly hardwareVersion: number;
  readonly toolsVersion: number;
  /** Version 2 headers that allow entries for grains of zeros. */
  readonly zeroedGrains: boolean;
  /** -1 leaves the choice to the codec. */
  readonly compressionLevel: number;
  readonly contentId: number;
  /** The name that the image's own file has. */
  readonly fileName: string;
  /** Only in a differencing disk. */
  readonly parent?: Parent;
}

const SUBFORMATS = [
  'monolithicSparse',
  'streamOptimized',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
] as const;
const ADAPTER_TYPES = ['ide', 'lsilogic', 'buslogic', 'legacyESX'] as const;

/** The virtual controller that the descriptor asks for. Virtual Disk Format 5.0, "The Disk Database". */
export type AdapterType = (typeof ADAPTER_TYPES)[number];

const DEFAULT_HARDWARE_VERSION = 4;
const COMPAT6_HARDWARE_VERSION = 6;
const MAX_HARDWARE_VERSION = 99;
/** What VMware writes for guests whose tools it does not manage. */
const UNMANAGED_TOOLS_VERSION = 2147483647;
const MAX_COMPRESSION_LEVEL = 9;
const CODEC_CHOOSES = -1;

/** The options of the writer, named as qemu-img names them, and `compression_level`. */
export const diskOptions: readonly OptionDescription[] = [
  {
    name: 'subformat',
    values: SUBFORMATS.join('|'),
    default: 'monolithicSparse',
    summary:
      'How the guest bytes are stored: sparse or flat, in one file or in files of 2 GiB, or compressed as a stream',
  },
  {
    name: 'adapter_type',
    values: ADAPTER_TYPES.join('|'),
    default: 'ide; lsilogic with streamOptimized',
    summary: 'The virtual disk controller',
  },
  {
    name: 'hwversion',
    values: `1-${MAX_HARDWARE_VERSION}`,
    default: `${DEFAULT_HARDWARE_VERSION}`,
    summary: 'Virtual hardware version',
  },
  {
    name: 'toolsversion',
    values: `0-${UNMANAGED_TOOLS_VERSION}`,
    default: `${UNMANAGED_TOOLS_VERSION}`,
    summary: 'Version of the guest tools',
  },
  { name: 'compat6', values: 'on|off', default: 'off', summary: 'Short for hwversion=6' },
  {
    name: 'zeroed_grain',
    values: 'on|off',
    default: 'off',
    summary: 'Sparse extents of version 2, in which later writers may mark grains as zeros; a stream stays version 3',
  },
  {
    name: 'compression_level',
    values: '0-9',
    default: 'the codec decides',
    summary: 'Effort of zlib, with streamOptimized only',
  },
];

/** The parameters that the options ask for. Throws `out_of_bounds`, naming option and choices. */
export function diskParameters(request: LayoutRequest): DiskParameters {
  const { options, seed, fileName, backing } = request;
  rejectUnknownOptions('vmdk', options, diskOptions);
  const subformat = choiceOption(options, 'subformat', SUBFORMATS, 'monolithicSparse');
  const stream = subformat === 'streamOptimized';
  const zeroed = booleanOption(options, 'zeroed_grain', false);
  const level = integerOption(options, 'compression_level', { min: 0, max: MAX_COMPRESSION_LEVEL });
  if (level !== undefined && !stream) {
    throw vmdkError('out_of_bounds', 'Option compression_level works with subformat=streamOptimized only', 'options');
  }
  if (zeroed && isFlat(subformat)) {
    throw vmdkError('out_of_bounds', `Option zeroed_grain does not work with subformat=${subformat}`, 'options');
  }
  if (backing !== undefined && isFlat(subformat)) {
    throw vmdkError('unsupported', `A disk with subformat=${subformat} has no grains to leave to a parent`, 'options');
  }
  return {
    ...(backing === undefined ? {} : { parent: parentOf(backing) }),
    subformat,
    // Importers of OVF packages give such disks a SCSI controller.
    adapterType: choiceOption(options, 'adapter_type', ADAPTER_TYPES, stream ? 'lsilogic' : 'ide'),
    hardwareVersion: hardwareVersion(options),
    toolsVersion:
      integerOption(options, 'toolsversion', { min: 0, max: UNMANAGED_TOOLS_VERSION }) ?? UNMANAGED_TOOLS_VERSION,
    zeroedGrains: zeroed && !stream,
    compressionLevel: level ?? CODEC_CHOOSES,
    contentId: contentIdFrom(seed),
    fileName,
  };
}

/** Do these disks store guest bytes as they are? */
export function isFlat(subformat: Subformat): boolean {
  return subformat === 'monolithicFlat' || subformat === 'twoGbMaxExtentFlat';
}

function hardwareVersion(options: GivenOptions): number {
  const given = integerOption(options, 'hwversion', { min: 1, max: MAX_HARDWARE_VERSION });
  const compat6 = booleanOption(options, 'compat6', false);
  if (given !== undefined && compat6) {
    throw vmdkError('out_of_bounds', 'Options hwversion and compat6 cannot be given together', 'options');
  }
  return given ?? (compat6 ? COMPAT6_HARDWARE_VERSION : DEFAULT_HARDWARE_VERSION);
}

/** 31 bits of the seed: the two largest values of a CID have meanings of their own. */
function contentIdFrom(seed: Uint8Array): number {
  return new DataView(seed.buffer, seed.byteOffset, seed.byteLength).getUint32(0) & 0x7fffffff;
}

/** The level for `Codecs.compress`. */
export function compressionLevel(parameters: DiskParameters): number | undefined {
  return parameters.compressionLevel === CODEC_CHOOSES ? undefined : parameters.compressionLevel;
}

/** The parameters as a layout keeps them. */
export function parameterDetails({ parent, ...parameters }: DiskParameters): Details {
  return parent === undefined
    ? parameters
    : { ...parameters, parentContentId: parent.contentId, parentName: parent.name };
}

/** The parameters of a layout that this format has made. */
export function layoutParameters(layout: TargetLayout): DiskParameters {
  const { parameters } = layout;
  const contentId = parameters['parentContentId'];
  return {
    ...(contentId === undefined
      ? {}
      : { parent: { contentId: Number(contentId), name: `${parameters['parentName']}` } }),
    subformat: choiceOption({ subformat: `${parameters['subformat']}` }, 'subformat', SUBFORMATS, 'monolithicSparse'),
    adapterType: choiceOption({ adapter: `${parameters['adapterType']}` }, 'adapter', ADAPTER_TYPES, 'ide'),
    hardwareVersion: Number(parameters['hardwareVersion']),
    toolsVersion: Number(parameters['toolsVersion']),
    zeroedGrains: parameters['zeroedGrains'] === true,
    compressionLevel: Number(parameters['compressionLevel']),
    contentId: Number(parameters['contentId']),
    fileName: `${parameters['fileName']}`,
  };
}
