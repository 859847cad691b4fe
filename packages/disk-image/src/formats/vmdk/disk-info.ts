import type { ImageInfo } from '../../image/disk-image.ts';
import type { Details, JsonValue } from '../../image/finding.ts';
import type { ImageReference } from '../../image/reference.ts';
import type { Anatomy } from './anatomy.ts';
import { subformatOf } from './create-type.ts';
import type { Descriptor, ExtentLine } from './descriptor.ts';
import { contentIdText, descriptorCapacity, NO_PARENT } from './descriptor.ts';
import type { SparseHeader } from './sparse-header.ts';
import { hasZeroedGrains, isCompressed } from './sparse-header.ts';

/** What header and descriptor say, as plain data; nothing is judged here. */
export function diskInfo(anatomy: Anatomy): ImageInfo {
  const common = { format: 'vmdk', corrupt: false, snapshots: [] } as const;
  if (anatomy.kind === 'esx') {
    const { kind, version, capacity, grainSize } = anatomy.extent;
    return {
      ...common,
      subformat: kind,
      virtualSize: capacity,
      unitSize: grainSize,
      references: [],
      dirty: false,
      details: { 'header-version': version },
    };
  }
  const { descriptor } = anatomy;
  const header = anatomy.kind === 'sparse' ? anatomy.header : undefined;
  const subformat = subformatOf(descriptor?.createType) ?? descriptor?.createType;
  const backing = descriptor === undefined ? undefined : parentReference(descriptor);
  return {
    ...common,
    ...(backing === undefined ? {} : { backing }),
    ...(descriptor?.cid === undefined ? {} : { linkId: contentIdText(descriptor.cid) }),
    ...(subformat === undefined ? {} : { subformat }),
    virtualSize: header?.capacity ?? descriptorCapacity(descriptor?.extents ?? []),
    ...(header === undefined ? {} : { unitSize: header.grainSize }),
    references: descriptor === undefined ? [] : references(descriptor, header),
    dirty: header?.uncleanShutdown ?? false,
    details: { ...descriptorDetails(descriptor, header), ...headerDetails(header) },
  };
}

/** Every other file that the descriptor names: extents that are not the file itself, and the parent. */
function references(descriptor: Descriptor, header: SparseHeader | undefined): ImageReference[] {
  const extents = foreignExtents(descriptor, header).map((extent): ImageReference => ({
    kind: 'extent',
    name: extent.name ?? '',
  }));
  const parent = parentReference(descriptor);
  return parent === undefined ? extents : [...extents, parent];
}

/**
 * The disk that this one holds the differences from: it must bear the content id that was written down when the child
 * was made, as it gets another one when its guest bytes change. Virtual Disk Format 5.0, "The Descriptor File", parentCID.
 */
export function parentReference(descriptor: Descriptor): ImageReference | undefined {
  const { parentCid, parentFileNameHint: name = '' } = descriptor;
  if (parentCid === NO_PARENT && name === '') return undefined;
  return { kind: 'parent', name, format: 'vmdk', linkIds: [contentIdText(parentCid)] };
}

/** The extents that lie in other files. In a sparse extent, the single SPARSE extent is the file itself. */
export function foreignExtents(descriptor: Descriptor, header: SparseHeader | undefined): readonly ExtentLine[] {
  const { extents } = descriptor;
  const named = extents.filter((extent) => extent.type !== 'ZERO' || extent.name !== undefined);
  const self = header !== undefined && header.capacity > 0 && extents.length === 1 && extents[0]?.type === 'SPARSE';
  return self ? [] : named;
}

function descriptorDetails(descriptor: Descriptor | undefined, header: SparseHeader | undefined): Details {
  if (descriptor === undefined) return {};
  const details: Record<string, JsonValue> = { 'parent-cid': descriptor.parentCid };
  const put = (key: string, value: string | number | undefined): void => {
    if (value !== undefined) details[key] = value;
  };
  put('cid', descriptor.cid);
  put('create-type', descriptor.createType);
  put('encoding', descriptor.encoding);
  put('parent-file-name-hint', descriptor.parentFileNameHint);
  put('change-track-path', descriptor.changeTrackPath);
  put('adapter-type', descriptor.database.get('adapterType'));
  put('hardware-version', descriptor.database.get('virtualHWVersion'));
  put('tools-version', descriptor.database.get('toolsVersion'));
  details['extents'] = descriptor.extents.map((extent) => extentDetails(extent, header));
  return details;
}

function extentDetails(extent: ExtentLine, header: SparseHeader | undefined): Details {
  return {
    'virtual-size': extent.length,
    ...(extent.name === undefined ? {} : { filename: extent.name }),
    format: extent.type,
    access: extent.access,
    ...(header === undefined ? {} : { 'cluster-size': header.grainSize, compressed: isCompressed(header) }),
  };
}

function headerDetails(header: SparseHeader | undefined): Details {
  if (header === undefined) return {};
  return {
    'header-version': header.version,
    compressed: isCompressed(header),
    'zeroed-grains': hasZeroedGrains(header),
    'redundant-directory': header.redundantDirectoryOffset !== undefined,
    footer: header.directoryOffset === 'at-end',
  };
}
