import { alignUp } from '../../bytes/numbers.ts';
import type { LayoutRequest } from '../../image/format.ts';
import type { TargetFile, TargetLayout } from '../../image/target.ts';
import { MAX_DESCRIPTOR_SIZE, MAX_EXTENTS } from './descriptor.ts';
import { checkedExtentName } from './descriptor-text.ts';
import { vmdkError } from './fault.ts';
import { SECTOR_SIZE } from './sector.ts';
import { MAX_CAPACITY } from './sparse-header.ts';
import { NEW_GRAIN_SIZE, sparseLayout } from './sparse-layout.ts';
import { STREAM_OVERHEAD } from './stream-writer.ts';
import type { DiskParameters } from './writer-options.ts';
import { diskParameters, isFlat, parameterDetails } from './writer-options.ts';

/** Guest bytes of one file of a split disk: the largest whole number of MiB below 2 GiB. */
export const SPLIT_SIZE: number = 2047 * 2 ** 20;
const FLAT_UNIT_SIZE = 4096;

/**
 * Where the guest bytes of a new disk will lie. Sizes are rounded up to whole sectors, of a stream to whole grains: its
 * importers are the strict ones. Throws `out_of_bounds` for options, file names and sizes that cannot be.
 */
export function diskLayout(request: LayoutRequest): TargetLayout {
  const parameters = diskParameters(request);
  const { subformat } = parameters;
  const stream = subformat === 'streamOptimized';
  const virtualSize = alignUp(request.virtualSize, stream ? NEW_GRAIN_SIZE : SECTOR_SIZE);
  if (virtualSize === 0 || virtualSize > MAX_CAPACITY) {
    throw vmdkError(
      'out_of_bounds',
      `A VMDK cannot hold a disk of ${request.virtualSize} bytes; 1 to ${MAX_CAPACITY} are possible`,
      'layout',
    );
  }
  return {
    format: 'vmdk',
    virtualSize,
    unitSize: isFlat(subformat) ? FLAT_UNIT_SIZE : NEW_GRAIN_SIZE,
    files: diskFiles(parameters, virtualSize),
    ascending: stream,
    endsFile: stream,
    ...(request.backing === undefined
      ? {}
      : { overlay: { backing: request.backing, zeros: parameters.zeroedGrains ? 'marked' : 'stored' } }),
    parameters: parameterDetails(parameters),
  };
}

function diskFiles(parameters: DiskParameters, virtualSize: number): readonly TargetFile[] {
  const { subformat } = parameters;
  const whole = { name: '', guestOffset: 0, guestLength: virtualSize };
  if (subformat === 'streamOptimized') return [{ ...whole, placement: 'append', hostOffset: STREAM_OVERHEAD }];
  if (subformat === 'monolithicSparse') {
    return [{ ...whole, placement: 'append', hostOffset: sparseLayout(virtualSize, 'embedded').overhead }];
  }
  const placement = isFlat(subformat) ? 'fixed' : 'append';
  const descriptor: TargetFile = { name: '', guestOffset: 0, guestLength: 0, placement, hostOffset: 0 };
  return [descriptor, ...extentFiles(parameters, virtualSize)];
}

/** Bytes that `-flat` or `-s1234` adds to a name, and of the rest of an extent line and of a descriptor with its parent's name, at the most. */
const MAX_NAME_SUFFIX = 6;
const EXTENT_LINE_SIZE = 40;
const DESCRIPTOR_FRAME_SIZE = 6144;

function extentFiles(parameters: DiskParameters, virtualSize: number): TargetFile[] {
  const { base, ending } = splitName(parameters.fileName);
  const single = parameters.subformat === 'monolithicFlat';
  const partSize = single ? virtualSize : SPLIT_SIZE;
  const count = Math.ceil(virtualSize / partSize);
  if (count > MAX_EXTENTS) {
    throw vmdkError(
      'out_of_bounds',
      `A disk of ${virtualSize} bytes would be split into ${count} files; at most ${MAX_EXTENTS} are possible`,
      'layout',
    );
  }
  const longestName = new TextEncoder().encode(parameters.fileName).length + MAX_NAME_SUFFIX;
  if (count * (longestName + EXTENT_LINE_SIZE) + DESCRIPTOR_FRAME_SIZE > MAX_DESCRIPTOR_SIZE) {
    throw vmdkError('out_of_bounds', `The names of ${count} files are too long for a descriptor`, 'layout');
  }
  return Array.from({ length: count }, (_, index): TargetFile => {
    const guestOffset = index * partSize;
    const guestLength = Math.min(partSize, virtualSize - guestOffset);
    const number = `${index + 1}`.padStart(3, '0');
    const place = { guestOffset, guestLength };
    if (single)
      return { ...place, name: checkedExtentName(`${base}-flat${ending}`), placement: 'fixed', hostOffset: 0 };
    if (isFlat(parameters.subformat)) {
      return { ...place, name: checkedExtentName(`${base}-f${number}${ending}`), placement: 'fixed', hostOffset: 0 };
    }
    const hostOffset = sparseLayout(guestLength, 'separate').overhead;
    return { ...place, name: checkedExtentName(`${base}-s${number}${ending}`), placement: 'append', hostOffset };
  });
}

/** Files of a disk are told apart before the last dot of its name, as qemu-img does. */
function splitName(fileName: string): { readonly base: string; readonly ending: string } {
  const dot = fileName.lastIndexOf('.');
  if (dot <= 0) return { base: fileName, ending: '' };
  return { base: fileName.slice(0, dot), ending: fileName.slice(dot) };
}
