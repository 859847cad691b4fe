import { assert } from '../../errors.ts';
import { contentIdText, NO_PARENT } from './descriptor.ts';
import { extentNameFault } from './extent-name.ts';
import { vmdkError } from './fault.ts';
import { SECTOR_SIZE } from './sector.ts';
import type { DiskParameters } from './writer-options.ts';

/** An extent as a new descriptor lists it. */
export interface NewExtent {
  readonly name: string;
  readonly type: 'SPARSE' | 'FLAT';
  /** Guest bytes. */
  readonly length: number;
}

/** The UTF-8 text of a new descriptor. Virtual Disk Format 5.0, "The Descriptor File". */
export function descriptorText(
  parameters: DiskParameters,
  virtualSize: number,
  extents: readonly NewExtent[],
): Uint8Array {
  const geometry = diskGeometry(parameters, virtualSize);
  const { parent } = parameters;
  const names = [...extents.map((extent) => extent.name), parent?.name ?? ''];
  const ascii = names.every((name) => /^[\x20-\x7e]*$/.test(name));
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    ...(ascii ? [] : ['encoding="UTF-8"']),
    `CID=${contentIdText(parameters.contentId)}`,
    `parentCID=${contentIdText(parent?.contentId ?? NO_PARENT)}`,
    `createType="${parameters.subformat}"`,
    ...(parent === undefined ? [] : [`parentFileNameHint="${parent.name}"`]),
    '',
    '# Extent description',
    ...extents.map(extentLine),
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.virtualHWVersion = "${parameters.hardwareVersion}"`,
    `ddb.geometry.cylinders = "${geometry.cylinders}"`,
    `ddb.geometry.heads = "${geometry.heads}"`,
    `ddb.geometry.sectors = "${geometry.sectors}"`,
    `ddb.adapterType = "${parameters.adapterType}"`,
    `ddb.toolsVersion = "${parameters.toolsVersion}"`,
    '',
  ];
  return new TextEncoder().encode(lines.join('\n'));
}

function extentLine(extent: NewExtent): string {
  assert(extent.length % SECTOR_SIZE === 0, 'an extent is made of whole sectors');
  const line = `RW ${extent.length / SECTOR_SIZE} ${extent.type} "${extent.name}"`;
  return extent.type === 'FLAT' ? `${line} 0` : line;
}

const MAX_IDE_CYLINDERS = 16383;
const MAX_SCSI_CYLINDERS = 65535;

function diskGeometry(
  parameters: DiskParameters,
  virtualSize: number,
): { readonly cylinders: number; readonly heads: number; readonly sectors: number } {
  const ide = parameters.adapterType === 'ide';
  const heads = ide ? 16 : 255;
  const sectors = 63;
  const cylinders = Math.max(1, Math.floor(virtualSize / (heads * sectors * SECTOR_SIZE)));
  return { cylinders: Math.min(cylinders, ide ? MAX_IDE_CYLINDERS : MAX_SCSI_CYLINDERS), heads, sectors };
}

/** `name`, which a descriptor will hold and readers will follow. Throws `out_of_bounds` when it could not be read back. */
export function checkedExtentName(name: string): string {
  const fault = name.includes('"') ? 'has a quotation mark' : extentNameFault(name);
  if (fault === undefined) return name;
  throw vmdkError(
    'out_of_bounds',
    `The file name ${JSON.stringify(name)} cannot stand in a descriptor: it ${fault}; choose another one`,
    'descriptor',
  );
}

/** The name that a sparse extent has for itself: its file name, or a plain one when a descriptor cannot hold that. */
export function ownExtentName(parameters: DiskParameters): string {
  // A stream is given a name of its own wherever it arrives, so the same content gives the same bytes.
  if (parameters.subformat === 'streamOptimized') return 'generated-stream.vmdk';
  const { fileName } = parameters;
  return fileName.includes('"') || extentNameFault(fileName) !== undefined ? 'disk.vmdk' : fileName;
}
