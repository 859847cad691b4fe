import type { ByteSource } from '../../bytes/byte-source.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import type { CompressedSpan, UnitState } from './l2-entry.ts';
import { damaged, decodeCompressed, decodeUnit, KIND, NO_HOST_OFFSET, unitState } from './l2-entry.ts';
import type { ClusterKind } from './l2-entry.ts';
import type { L2Table, L2Tables } from './l2-table.ts';
import { qcow2Error } from './qcow2-error.ts';

/** Where guest bytes lie: the tables of one L1 table, and the file that holds the data. */
export interface ClusterMapping {
  readonly geometry: ClusterGeometry;
  readonly tables: L2Tables;
  /** The image itself, or its external data file. */
  readonly data: ByteSource;
  /** The name of the external data file. */
  readonly dataFileName: string | undefined;
}

/** Guest bytes that follow each other and are of one kind, in host space too. */
export interface Run {
  readonly kind: ClusterKind;
  /** Bytes, at least 1. */
  readonly length: number;
  /** Byte offset of the first byte, or `NO_HOST_OFFSET` for what has none (or is compressed). */
  readonly hostOffset: number;
}

/** The L2 table that describes the guest byte `guestOffset`. */
export async function tableAt(mapping: ClusterMapping, guestOffset: number, signal?: AbortSignal): Promise<L2Table> {
  const index = Math.floor(guestOffset / mapping.geometry.l2Coverage);
  return mapping.tables.cached(index) ?? (await mapping.tables.load(index, signal));
}

/**
 * The longest run from `guestOffset` on that ends at or before `end` and within `table`, which describes `guestOffset`.
 * Throws `corrupt` for bad entries, `truncated` when the data file ends before the end of the run.
 */
export function scanRun(mapping: ClusterMapping, table: L2Table, guestOffset: number, end: number): Run {
  const { geometry } = mapping;
  const { unitSize, l2Coverage } = geometry;
  const tableStart = guestOffset - (guestOffset % l2Coverage);
  const limit = Math.min(end, tableStart + l2Coverage);
  if (table.words.length === 0) return { kind: KIND.absent, length: limit - guestOffset, hostOffset: NO_HOST_OFFSET };
  let unit = Math.floor((guestOffset - tableStart) / unitSize);
  const state = unitState();
  decodeChecked(mapping, table, unit, state);
  const { kind, hostOffset } = state;
  const step = hostOffset === NO_HOST_OFFSET ? 0 : unitSize;
  let runEnd = tableStart + (unit + 1) * unitSize;
  let expected = hostOffset + step;
  while (runEnd < limit) {
    decodeChecked(mapping, table, ++unit, state);
    if (state.kind !== kind || state.hostOffset !== expected) break;
    runEnd += unitSize;
    expected += step;
  }
  const length = Math.min(runEnd, limit) - guestOffset;
  if (hostOffset === NO_HOST_OFFSET) return { kind, length, hostOffset };
  const start = hostOffset + (guestOffset % unitSize);
  if (kind === KIND.data && start + length > mapping.data.size) throw truncatedData(mapping.data, start + length);
  return { kind, length, hostOffset: start };
}

function decodeChecked(mapping: ClusterMapping, table: L2Table, unit: number, state: UnitState): void {
  const { geometry } = mapping;
  decodeUnit(table, unit, geometry, state);
  if (state.kind === KIND.compressed) {
    compressedSpan(mapping, table, geometry.extendedL2 ? unit >>> 5 : unit);
  } else if (geometry.externalData && state.hostOffset !== NO_HOST_OFFSET) {
    if (state.hostOffset !== table.guestOffset + unit * geometry.unitSize) {
      const index = Math.floor(unit / geometry.unitsPerCluster);
      throw damaged(table, index, geometry, 'does not point at its own guest offset in the external data file');
    }
  }
}

function truncatedData(data: ByteSource, end: number): Error {
  return qcow2Error('truncated', `Guest data lies up to byte ${end}, but the file ends at ${data.size}`, {
    structure: 'data cluster',
    offset: data.size,
  });
}

/**
 * The span of a compressed cluster, cut at the end of the file, which may lie inside the last sector.
 * Throws `truncated` when not even the first byte of its last sector is there.
 */
export function compressedSpan(mapping: ClusterMapping, table: L2Table, index: number): CompressedSpan {
  const span = { hostOffset: 0, length: 0 };
  decodeCompressed(table, index, mapping.geometry, span);
  const end = span.hostOffset + span.length;
  if (end - SECTOR_SIZE >= mapping.data.size || span.hostOffset >= mapping.data.size) {
    throw truncatedData(mapping.data, end);
  }
  span.length = Math.min(end, mapping.data.size) - span.hostOffset;
  return span;
}

const SECTOR_SIZE = 512;
