import { alignUp } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { LayoutRequest } from '../../image/format.ts';
import type { TargetFile, TargetLayout } from '../../image/target.ts';
import { ENTRY_BYTES } from './bat-entry.ts';
import type { CreateOptions } from './create-options.ts';
import { parseCreateOptions } from './create-options.ts';
import type { Geometry } from './geometry.ts';
import { geometryOf } from './geometry.ts';
import { KIB, MAX_DISK_SIZE, MIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

/** Guest bytes that are written together: small, so that the zeros of a large block stay holes of the file. */
const UNIT_SIZE: number = 64 * KIB;
const SEED_BYTES = 16;

/** Where the parts of a new file lie, all on whole MiB: header, log, metadata, block allocation table, blocks. */
export interface FilePlaces {
  readonly logOffset: number;
  readonly metadataOffset: number;
  readonly batOffset: number;
  readonly batLength: number;
  readonly blocksOffset: number;
}

/**
 * A disk in whole sectors, its blocks behind all tables. Throws `out_of_bounds` for bad options, an empty disk, and one
 * above 64 TiB.
 */
export function vhdxLayout(request: LayoutRequest): TargetLayout {
  const options = parseCreateOptions(request.options, request.virtualSize);
  const virtualSize = alignUp(request.virtualSize, options.logicalSectorSize);
  if (virtualSize === 0 || virtualSize > MAX_DISK_SIZE) {
    throw vhdxError(
      'out_of_bounds',
      `A VHDX file cannot hold a disk of ${request.virtualSize} bytes; 1 to ${MAX_DISK_SIZE} are possible`,
      'layout',
    );
  }
  const { blocksOffset } = filePlaces(options, newGeometry(options, virtualSize));
  const { blockSize, subformat } = options;
  const whole = { name: '', guestOffset: 0, guestLength: virtualSize, hostOffset: blocksOffset };
  const file: TargetFile =
    subformat === 'fixed'
      ? { ...whole, placement: 'fixed' }
      : { ...whole, placement: 'append', block: { size: blockSize, prefix: 0, alignment: MIB } };
  const seed = Array.from(request.seed.subarray(0, SEED_BYTES));
  return {
    format: 'vhdx',
    virtualSize,
    unitSize: UNIT_SIZE,
    files: [file],
    ascending: false,
    parameters: { ...options, diskId: options.diskId ?? null, seed },
  };
}

/** Where the parts of a file with these options lie. */
export function filePlaces(options: CreateOptions, geometry: Geometry): FilePlaces {
  const logOffset = MIB;
  const metadataOffset = logOffset + options.logSize;
  const batOffset = metadataOffset + MIB;
  const batLength = alignUp(geometry.entries * ENTRY_BYTES, MIB);
  return { logOffset, metadataOffset, batOffset, batLength, blocksOffset: batOffset + batLength };
}

/** What `vhdxLayout` decided, from a layout that it has made. */
export interface NewDisk {
  readonly options: CreateOptions;
  readonly geometry: Geometry;
  readonly places: FilePlaces;
  /** 16 bytes. */
  readonly seed: Uint8Array;
}

/** Reads a layout back. */
export function newDisk(layout: TargetLayout): NewDisk {
  const { parameters, virtualSize } = layout;
  const { subformat, logicalSectorSize, seed } = parameters;
  assert(subformat === 'dynamic' || subformat === 'fixed', 'a layout names its subformat');
  assert(logicalSectorSize === 512 || logicalSectorSize === 4096, 'and its sector size');
  assert(Array.isArray(seed), 'and its seed');
  const options: CreateOptions = {
    subformat,
    blockSize: Number(parameters['blockSize']),
    logSize: Number(parameters['logSize']),
    logicalSectorSize,
    blockStateZero: parameters['blockStateZero'] === true,
    diskId: parameters['diskId'] === null ? undefined : `${parameters['diskId']}`,
  };
  const geometry = newGeometry(options, virtualSize);
  return { options, geometry, places: filePlaces(options, geometry), seed: Uint8Array.from(seed, Number) };
}

function newGeometry({ blockSize, logicalSectorSize }: CreateOptions, diskSize: number): Geometry {
  return geometryOf({ blockSize, logicalSectorSize, diskSize, hasParent: false });
}
