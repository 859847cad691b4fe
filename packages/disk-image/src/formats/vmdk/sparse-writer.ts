import type { ByteSink } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import type { FinishContext, TargetFile, TargetLayout } from '../../image/target.ts';
import { descriptorText, ownExtentName } from './descriptor-text.ts';
import { SECTOR_SIZE } from './sector.ts';
import { encodeSparseHeader } from './sparse-header.ts';
import type { SparseLayout } from './sparse-layout.ts';
import { NEW_DESCRIPTOR_SIZE, NEW_GRAIN_SIZE, NEW_TABLE_SIZE, sparseLayout } from './sparse-layout.ts';
import { tableBatches } from './table-batches.ts';
import type { DiskParameters } from './writer-options.ts';
import { layoutParameters } from './writer-options.ts';

/**
 * Finishes monolithicSparse and the extents of twoGbMaxExtentSparse: grain tables as they come, directories, then a
 * flush, then the headers. The descriptor of a disk of several files is left to the caller.
 */
export async function finishSparse(context: FinishContext): Promise<void> {
  const { layout, sinks, runs } = context;
  for await (const batch of tableBatches(layout, runs)) {
    const { sparse, sink } = sparseFile(context, batch.file);
    const start = batch.firstTable * NEW_TABLE_SIZE;
    await sink.write(sparse.redundantTablesOffset + start, batch.bytes);
    await sink.write(sparse.tablesOffset + start, batch.bytes);
  }
  for (const [index, file] of layout.files.entries()) {
    if (file.guestLength === 0) continue;
    const { sparse, sink } = sparseFile(context, index);
    await sink.truncate(Math.max(context.ends[index] ?? 0, sparse.overhead));
    await sink.write(sparse.redundantDirectoryOffset, directoryBytes(sparse, sparse.redundantTablesOffset));
    await sink.write(sparse.directoryOffset, directoryBytes(sparse, sparse.tablesOffset));
  }
  for (const sink of sinks) await sink.flush();
  const parameters = layoutParameters(layout);
  for (const [index, file] of layout.files.entries()) {
    if (file.guestLength === 0) continue;
    const { sparse, sink } = sparseFile(context, index);
    if (file.name === '') await sink.write(sparse.descriptorOffset, embeddedDescriptor(layout, parameters));
    await sink.write(0, sparseHeader(file, sparse, parameters));
    await sink.flush();
  }
}

function sparseFile(context: FinishContext, index: number): { readonly sparse: SparseLayout; readonly sink: ByteSink } {
  const file = context.layout.files[index];
  const sink = context.sinks[index];
  assert(file !== undefined && sink !== undefined, 'every file of the layout has its sink');
  return { sparse: sparseLayout(file.guestLength, file.name === '' ? 'embedded' : 'separate'), sink };
}

/** Every table is listed, also those without grains, so that other programs may fill them in place. */
function directoryBytes(sparse: SparseLayout, tablesOffset: number): Uint8Array {
  const bytes = new Uint8Array(sparse.tableCount * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < sparse.tableCount; index++) {
    view.setUint32(index * 4, (tablesOffset + index * NEW_TABLE_SIZE) / SECTOR_SIZE, true);
  }
  return bytes;
}

function sparseHeader(file: TargetFile, sparse: SparseLayout, parameters: DiskParameters): Uint8Array {
  return encodeSparseHeader({
    version: parameters.zeroedGrains ? 2 : 1,
    capacity: file.guestLength,
    grainSize: NEW_GRAIN_SIZE,
    descriptorOffset: sparse.descriptorOffset,
    descriptorSize: sparse.descriptorSize,
    redundantDirectoryOffset: sparse.redundantDirectoryOffset,
    directoryOffset: sparse.directoryOffset,
    overhead: sparse.overhead,
    features: parameters.zeroedGrains ? ['zeroed-grains'] : [],
  });
}

/** The descriptor of a disk in one sparse extent, padded with zeros to the room it has. */
export function embeddedDescriptor(layout: TargetLayout, parameters: DiskParameters): Uint8Array {
  const text = descriptorText(parameters, layout.virtualSize, [
    { name: ownExtentName(parameters), type: 'SPARSE', length: layout.virtualSize },
  ]);
  assert(text.length < NEW_DESCRIPTOR_SIZE, 'a descriptor of one extent fits its room');
  const bytes = new Uint8Array(NEW_DESCRIPTOR_SIZE);
  bytes.set(text);
  return bytes;
}
