import { assert } from '../../errors.ts';
import type { Details } from '../../image/finding.ts';
import type { FormatWriter } from '../../image/format.ts';
import type { FinishContext, TargetLayout, UnitEncoder } from '../../image/target.ts';
import type { NewExtent } from './descriptor-text.ts';
import { descriptorText } from './descriptor-text.ts';
import { diskLayout } from './disk-layout.ts';
import { vmdkLikeness } from './likeness.ts';
import { NEW_GRAIN_SIZE } from './sparse-layout.ts';
import { finishSparse } from './sparse-writer.ts';
import { finishStream, MAX_STREAM_GRAIN, streamEncoder, streamPrologue, streamTrailerSize } from './stream-writer.ts';
import { diskOptions, isFlat, layoutParameters } from './writer-options.ts';

/** Writes monolithicSparse, streamOptimized, monolithicFlat, twoGbMaxExtentSparse and twoGbMaxExtentFlat disks. */
export const vmdkWriter: FormatWriter = {
  options: diskOptions,
  likeness: vmdkLikeness,
  layout: diskLayout,
  encoder: (layout, codecs) => (layout.ascending ? streamEncoder(layout, codecs) : sparseEncoder),
  prologue: (layout) => (layout.ascending ? streamPrologue(layout) : new Uint8Array()),
  finish: finishDisk,
  measure: measureDisk,
};

/** Grains of sparse extents are stored as they are. */
const sparseEncoder: UnitEncoder = {
  maxStoredLength: 0,
  encode: (unit) => ({ verbatim: true, length: unit.length, alignment: NEW_GRAIN_SIZE, detail: 0 }),
};

async function finishDisk(context: FinishContext): Promise<void> {
  const { layout, sinks } = context;
  if (layout.ascending) {
    await finishStream(context);
    return;
  }
  const { subformat } = layoutParameters(layout);
  if (!isFlat(subformat)) await finishSparse(context);
  else {
    for (const [index, file] of layout.files.entries()) {
      if (file.guestLength === 0) continue;
      await sinks[index]?.truncate(file.guestLength);
      await sinks[index]?.flush();
    }
  }
  if (subformat !== 'monolithicSparse') await writeDescriptor(context);
}

/** The descriptor of a disk in several files, in a file of its own: the last thing written. */
async function writeDescriptor(context: FinishContext): Promise<void> {
  const sink = context.sinks[0];
  assert(sink !== undefined, 'a disk has a file of its own');
  await sink.write(0, separateDescriptor(context.layout));
  await sink.flush();
}

function separateDescriptor(layout: TargetLayout): Uint8Array {
  const parameters = layoutParameters(layout);
  const type = isFlat(parameters.subformat) ? 'FLAT' : 'SPARSE';
  const extents: NewExtent[] = [];
  for (const { name, guestLength } of layout.files) {
    if (guestLength > 0) extents.push({ name, type, length: guestLength });
  }
  return descriptorText(parameters, layout.virtualSize, extents);
}

function measureDisk(
  layout: TargetLayout,
  dataUnits: number,
): Details & { readonly required: number; readonly fullyAllocated: number } {
  const allUnits = Math.ceil(layout.virtualSize / layout.unitSize);
  return { required: sizeWith(layout, dataUnits), fullyAllocated: sizeWith(layout, allUnits) };
}

function sizeWith(layout: TargetLayout, dataUnits: number): number {
  const { files, virtualSize, unitSize, ascending } = layout;
  if (ascending) {
    const grains = (files[0]?.hostOffset ?? 0) + dataUnits * MAX_STREAM_GRAIN;
    return grains + streamTrailerSize(virtualSize, dataUnits);
  }
  const descriptor = files.length > 1 ? separateDescriptor(layout).length : 0;
  const flat = files.some((file) => file.placement === 'fixed');
  if (flat) return descriptor + Math.min(virtualSize, dataUnits * unitSize);
  let tables = 0;
  for (const file of files) tables += file.hostOffset;
  return descriptor + tables + dataUnits * unitSize;
}
