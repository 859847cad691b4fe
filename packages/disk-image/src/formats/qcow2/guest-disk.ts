import type { Codecs } from '../../bytes/codecs.ts';
import { throwIfAborted } from '../../errors.ts';
import type { Extent, GuestRange } from '../../image/extent.ts';
import type { ClusterMapping, Run } from './cluster-mapping.ts';
import { scanRun, tableAt } from './cluster-mapping.ts';
import type { CompressedReader } from './compressed-cluster.ts';
import { compressedReader } from './compressed-cluster.ts';
import { KIND, NO_HOST_OFFSET } from './l2-entry.ts';
import { qcow2Error } from './qcow2-error.ts';

/** The disk that the guest sees through one L1 table. */
export interface GuestDisk {
  extents(range: GuestRange): AsyncIterable<Extent>;
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** The disk of `virtualSize` bytes behind `mapping`. */
export function guestDisk(mapping: ClusterMapping, virtualSize: number, codecs: Codecs): GuestDisk {
  const compressed = compressedReader(mapping, codecs);
  const checkRange = (offset: number, length: number): void => {
    if (offset >= 0 && length >= 0 && offset + length <= virtualSize) return;
    throw qcow2Error(
      'out_of_bounds',
      `Bytes ${offset} to ${offset + length} are outside a disk of ${virtualSize} bytes`,
      { structure: 'guest disk', offset },
    );
  };
  return {
    extents(range) {
      checkRange(range.offset, range.length);
      return extents(mapping, range);
    },
    async read(offset, into, signal) {
      checkRange(offset, into.length);
      throwIfAborted(signal);
      await readGuest(mapping, compressed, { offset, into, signal });
    },
  };
}

async function readGuest(
  mapping: ClusterMapping,
  compressed: CompressedReader,
  request: { readonly offset: number; readonly into: Uint8Array; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { offset, into, signal } = request;
  const end = offset + into.length;
  for (let position = offset; position < end;) {
    const table = await tableAt(mapping, position, signal);
    const run = scanRun(mapping, table, position, end);
    const part = into.subarray(position - offset, position - offset + run.length);
    if (run.kind === KIND.data) await mapping.data.read(run.hostOffset, part, signal);
    else if (run.kind === KIND.compressed) await compressed.read(table, position, part, signal);
    else part.fill(0);
    position += run.length;
  }
}

async function* extents(mapping: ClusterMapping, range: GuestRange): AsyncGenerator<Extent> {
  const { l2Coverage } = mapping.geometry;
  const end = range.offset + range.length;
  const walk = mapping.tables.walk();
  for (let position = range.offset; position < end;) {
    const l1Index = Math.floor(position / l2Coverage);
    const allocatedIndex = mapping.tables.nextAllocated(l1Index, Math.ceil(end / l2Coverage));
    if (allocatedIndex > l1Index) {
      const allocatedStart = Math.min(end, allocatedIndex * l2Coverage);
      yield { offset: position, length: allocatedStart - position, state: 'absent', compressed: false };
      position = allocatedStart;
      continue;
    }
    const table = await walk(l1Index);
    const tableEnd = (l1Index + 1) * l2Coverage;
    while (position < end && position < tableEnd) {
      const run = scanRun(mapping, table, position, end);
      yield extent(mapping, position, run);
      position += run.length;
    }
  }
}

function extent(mapping: ClusterMapping, offset: number, run: Run): Extent {
  const base = { offset, length: run.length, compressed: run.kind === KIND.compressed };
  const state = run.kind === KIND.absent ? 'absent' : run.kind === KIND.zero ? 'zero' : 'data';
  if (run.hostOffset === NO_HOST_OFFSET) return { ...base, state };
  const { dataFileName } = mapping;
  if (dataFileName === undefined) return { ...base, state, hostOffset: run.hostOffset };
  return { ...base, state, hostOffset: run.hostOffset, hostFile: dataFileName };
}
