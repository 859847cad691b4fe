import type { Descriptor, ExtentLine } from './descriptor.ts';
import { descriptorCapacity, NO_PARENT } from './descriptor.ts';
import { extentNameFault } from './extent-name.ts';
import type { Fault } from './fault.ts';
import { inStructure } from './fault.ts';
import { MAX_CAPACITY } from './sparse-header.ts';

/** The disk types that can be read, and written. */
export type Subformat =
  | 'monolithicSparse'
  | 'streamOptimized'
  | 'monolithicFlat'
  | 'twoGbMaxExtentSparse'
  | 'twoGbMaxExtentFlat';

/** What a `createType` means for reading. Virtual Disk Format 5.0, "The Header", table of disk types. */
const CREATE_TYPES: Readonly<Record<string, Subformat>> = {
  monolithicsparse: 'monolithicSparse',
  streamoptimized: 'streamOptimized',
  monolithicflat: 'monolithicFlat',
  twogbmaxextentsparse: 'twoGbMaxExtentSparse',
  '2gbmaxextentsparse': 'twoGbMaxExtentSparse',
  twogbmaxextentflat: 'twoGbMaxExtentFlat',
  '2gbmaxextentflat': 'twoGbMaxExtentFlat',
};

/** Disk types that exist and are refused by their name. */
const REFUSED_TYPES: readonly string[] = [
  'vmfs',
  'vmfsThin',
  'vmfsSparse',
  'vmfsEagerZeroedThick',
  'vmfsPreallocated',
  'vmfsRaw',
  'vmfsRDM',
  'vmfsRDMP',
  'vmfsRawDeviceMap',
  'vmfsPassthroughRawDeviceMap',
  'seSparse',
  'custom',
  'fullDevice',
  'partitionedDevice',
];

/** The disk type that `createType` names, in any case; undefined for those that are not read. */
export function subformatOf(createType: string | undefined): Subformat | undefined {
  return createType === undefined ? undefined : CREATE_TYPES[createType.toLowerCase()];
}

/** Every reason in the descriptor not to open the disk. `place` tells whether it lies inside a sparse extent. */
export function descriptorFaults(descriptor: Descriptor, place: 'embedded' | 'separate'): Fault[] {
  const faults = [
    ...versionFaults(descriptor),
    ...parentFaults(descriptor),
    ...createTypeFaults(descriptor, place),
    ...descriptor.extents.flatMap((extent) => extentFaults(extent, descriptor)),
    // The one extent of an embedded descriptor is the file itself: its name is never followed.
    ...(place === 'separate' ? descriptor.extents.flatMap(nameFaults) : []),
    ...sizeFaults(descriptor),
  ];
  return inStructure('descriptor', faults);
}

type DescriptorFault = Omit<Fault, 'structure'>;

/** 1 to 3 are documented; newer ESXi writes 4 for disks whose snapshots the storage array keeps. */
const MAX_DESCRIPTOR_VERSION = 3;

function versionFaults({ version }: Descriptor): DescriptorFault[] {
  if (version === undefined || (version >= 1 && version <= MAX_DESCRIPTOR_VERSION)) return [];
  return [
    {
      code: 'unsupported-version',
      refusal: 'unsupported',
      message: `Descriptor version ${version} is not one of 1 to ${MAX_DESCRIPTOR_VERSION}`,
    },
  ];
}

/**
 * A parent has a content id and a name. With only one of them readers differ in whether there is a parent, and without
 * a name it cannot be found.
 */
function parentFaults(descriptor: Descriptor): DescriptorFault[] {
  const named = (descriptor.parentFileNameHint ?? '') !== '';
  if (named === (descriptor.parentCid !== NO_PARENT)) return [];
  const message = named
    ? 'The descriptor names a parent disk, but records no content id of a parent'
    : 'The disk holds only differences from a parent disk, which the descriptor does not name';
  return [{ code: 'differencing-parent', refusal: named ? 'corrupt' : 'unsupported', message }];
}

function createTypeFaults(descriptor: Descriptor, place: 'embedded' | 'separate'): DescriptorFault[] {
  const { createType } = descriptor;
  if (createType === undefined) {
    return [
      { code: 'missing-create-type', refusal: 'unsupported', message: 'The descriptor does not say its createType' },
    ];
  }
  const subformat = subformatOf(createType);
  if (subformat === undefined) return [unsupportedType(createType)];
  const embeddable = subformat === 'monolithicSparse' || subformat === 'streamOptimized';
  const single = descriptor.extents.length === 1 && descriptor.extents[0]?.type === 'SPARSE';
  if (place === 'separate' || (embeddable && single)) return [];
  return [
    {
      code: 'unsupported-subformat',
      refusal: 'unsupported',
      message: `A descriptor inside a sparse extent describes ${quoted(createType)} with ${descriptor.extents.length} extents; only a single SPARSE extent of type monolithicSparse or streamOptimized is read`,
    },
  ];
}

function unsupportedType(createType: string): DescriptorFault {
  const known = REFUSED_TYPES.find((type) => type.toLowerCase() === createType.toLowerCase());
  return {
    code: 'unsupported-subformat',
    refusal: 'unsupported',
    message:
      known === undefined
        ? `Disk type ${quoted(createType)} is not known`
        : `Disk type ${known} is not read; convert it to monolithicSparse or streamOptimized with the program that wrote it`,
  };
}

function extentFaults(extent: ExtentLine, descriptor: Descriptor): DescriptorFault[] {
  const faults: DescriptorFault[] = [];
  const subformat = subformatOf(descriptor.createType);
  const expected = subformat?.endsWith('Flat') === true ? 'FLAT' : 'SPARSE';
  if (extent.type !== 'ZERO' && extent.type !== expected && subformat !== undefined) {
    faults.push({
      code: 'unsupported-subformat',
      refusal: 'unsupported',
      message: `An extent of type ${quoted(extent.type)} does not belong in a disk of type ${subformat}`,
    });
  }
  if (extent.access === 'NOACCESS') {
    faults.push({ code: 'no-access-extent', refusal: 'unsupported', message: 'An extent is marked NOACCESS' });
  }
  return faults;
}

function nameFaults(extent: ExtentLine): DescriptorFault[] {
  if (extent.type === 'ZERO' && extent.name === undefined) return [];
  const wrong = extentNameFault(extent.name ?? '');
  if (wrong === undefined) return [];
  return [
    {
      code: 'unsafe-extent-name',
      refusal: 'unsafe',
      message: `The extent name ${quoted(extent.name ?? '')} ${wrong}`,
    },
  ];
}

function sizeFaults({ extents }: Descriptor): DescriptorFault[] {
  const total = descriptorCapacity(extents);
  if (extents.length === 0 || total === 0) {
    return [{ code: 'no-extents', refusal: 'corrupt', message: 'The descriptor describes no extent with any sectors' }];
  }
  if (total <= MAX_CAPACITY) return [];
  return [
    {
      code: 'size-bomb-virtual',
      refusal: 'unsafe',
      message: `A disk of ${total} bytes is larger than the limit of ${MAX_CAPACITY}`,
    },
  ];
}

const MAX_SHOWN = 80;

function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text);
}
