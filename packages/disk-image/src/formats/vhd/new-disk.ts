import { assert } from '../../errors.ts';
import type { JsonValue } from '../../image/finding.ts';
import type { TargetLayout } from '../../image/target.ts';
import { DYNAMIC_HEADER_SIZE } from './dynamic-header.ts';
import { NEW_HEADER_OFFSET } from './footer.ts';
import type { Geometry } from './geometry.ts';

/** What a layout says about the disk to be. */
export interface NewDisk {
  readonly diskType: 'fixed' | 'dynamic';
  readonly virtualSize: number;
  readonly geometry: Geometry;
  /** A UUID in text. */
  readonly uniqueId: string;
  readonly blockSize: number;
  readonly blockCount: number;
  readonly tableOffset: number;
  /** Where the first block (or the first guest byte of a fixed disk) lies. */
  readonly dataOffset: number;
}

/** The parameters of a layout that this format has made. */
export function newDisk(layout: TargetLayout): NewDisk {
  const { parameters, files, virtualSize } = layout;
  const blockSize = Number(parameters['blockSize']);
  const dataOffset = files[0]?.hostOffset;
  assert(dataOffset !== undefined && blockSize > 0, 'a VHD has one file and a block size');
  return {
    diskType: parameters['diskType'] === 'fixed' ? 'fixed' : 'dynamic',
    virtualSize,
    geometry: geometryFrom(parameters['geometry']),
    uniqueId: `${parameters['uniqueId']}`,
    blockSize,
    blockCount: Math.ceil(virtualSize / blockSize),
    tableOffset: NEW_HEADER_OFFSET + DYNAMIC_HEADER_SIZE,
    dataOffset,
  };
}

function geometryFrom(value: JsonValue | undefined): Geometry {
  assert(typeof value === 'object' && value !== null && 'cylinders' in value, 'a VHD layout has a geometry');
  const { cylinders, heads, sectorsPerTrack } = value;
  return { cylinders: Number(cylinders), heads: Number(heads), sectorsPerTrack: Number(sectorsPerTrack) };
}
