import type { FormatWriter } from '../../image/format.ts';
import type { UnitEncoder } from '../../image/target.ts';
import { CREATE_OPTIONS } from './create-options.ts';
import { finishVhdx } from './finish.ts';
import { vhdxLikeness } from './likeness.ts';
import { newDisk, vhdxLayout } from './target-layout.ts';

/**
 * Writes dynamic and fixed disks. `measure` counts whole blocks as if each unit of data lay in one of its own, so no file
 * that is written is longer; the zeros in a block are holes of the file.
 */
export const vhdxWriter: FormatWriter = {
  options: CREATE_OPTIONS,
  likeness: vhdxLikeness,
  layout: vhdxLayout,
  encoder: () => plainEncoder,
  finish: finishVhdx,
  measure(layout, dataUnits) {
    const { options, geometry, places } = newDisk(layout);
    const fullyAllocated = places.blocksOffset + geometry.payloadBlocks * geometry.blockSize;
    const blocks = Math.min(geometry.payloadBlocks, dataUnits);
    const required = options.subformat === 'fixed' ? fullyAllocated : places.blocksOffset + blocks * geometry.blockSize;
    return { required, fullyAllocated };
  },
};

/** Guest bytes are stored as they are. */
const plainEncoder: UnitEncoder = {
  maxStoredLength: 0,
  encode: (unit) => ({ verbatim: true, length: unit.length, alignment: 1, detail: 0 }),
};
