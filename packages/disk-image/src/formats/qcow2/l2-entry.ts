import type { ClusterGeometry } from './cluster-geometry.ts';
import { qcow2Error } from './qcow2-error.ts';
import type { L2Table } from './l2-table.ts';

/** What an L2 entry says about a cluster or a subcluster. */
export const KIND = { absent: 0, zero: 1, data: 2, compressed: 3 } as const;
/** One of the values of `KIND`. */
export type ClusterKind = (typeof KIND)[keyof typeof KIND];

/** No host space: the `hostOffset` of a unit of a cluster that has none. */
export const NO_HOST_OFFSET = -1;

// Bits of the high word (32 to 63) and of the low word (0 to 31). qcow2 specification, "Cluster mapping", L2 table entry.
const COPIED_HIGH = 0x80000000;
const COMPRESSED_HIGH = 0x40000000;
const DESCRIPTOR_HIGH = 0x3fffffff;
const OFFSET_HIGH = 0x00ffffff;
const RESERVED_HIGH = 0x3f000000;
const ZERO_LOW = 1;
/** Bits 0 to 8 are no part of an offset. */
const UNALIGNED_LOW = 0x1ff;

/** One decoded unit; reused from unit to unit so that scanning allocates nothing. */
export interface UnitState {
  kind: ClusterKind;
  /** Byte offset of the unit's own bytes, or `NO_HOST_OFFSET`. Not set for compressed clusters. */
  hostOffset: number;
}

/** A fresh state to decode into. */
export function unitState(): UnitState {
  return { kind: KIND.absent, hostOffset: NO_HOST_OFFSET };
}

/**
 * Decodes unit number `unit` of the table into `into`: a cluster, or with extended L2 entries a subcluster.
 * Throws `corrupt` for reserved bits, bad alignment, and descriptors that the image's version or features exclude.
 */
export function decodeUnit(table: L2Table, unit: number, geometry: ClusterGeometry, into: UnitState): void {
  const index = geometry.extendedL2 ? unit >>> 5 : unit;
  const word = index * geometry.entryWords;
  const high = table.words[word] ?? 0;
  const low = table.words[word + 1] ?? 0;
  if ((high & COMPRESSED_HIGH) !== 0) {
    into.kind = KIND.compressed;
    into.hostOffset = NO_HOST_OFFSET;
    if (geometry.externalData) throw damaged(table, index, geometry, 'is compressed, in an image with external data');
    if (geometry.extendedL2 && ((table.words[word + 2] ?? 0) !== 0 || (table.words[word + 3] ?? 0) !== 0)) {
      throw damaged(table, index, geometry, 'is compressed and has a subcluster bitmap');
    }
    return;
  }
  const allocated =
    low > ZERO_LOW || (high & OFFSET_HIGH) !== 0 || (geometry.externalData && (high & COPIED_HIGH) !== 0);
  if (allocated || high !== 0) checkStandard(table, index, geometry);
  const hostOffset = allocated ? (high & OFFSET_HIGH) * 2 ** 32 + (low - (low & ZERO_LOW)) : NO_HOST_OFFSET;
  into.hostOffset = hostOffset;
  if (geometry.extendedL2) {
    decodeSubcluster(table, unit, geometry, into);
    return;
  }
  if ((low & ZERO_LOW) !== 0) {
    if (geometry.version === 2)
      throw damaged(table, index, geometry, 'has the zero flag, which version 2 does not have');
    into.kind = KIND.zero;
  } else {
    into.kind = allocated ? KIND.data : KIND.absent;
  }
}

function checkStandard(table: L2Table, index: number, geometry: ClusterGeometry): void {
  const high = table.words[index * geometry.entryWords] ?? 0;
  const low = table.words[index * geometry.entryWords + 1] ?? 0;
  if ((high & RESERVED_HIGH) !== 0) throw damaged(table, index, geometry, 'has reserved bits set');
  const zeroFlag = geometry.extendedL2 ? 0 : ZERO_LOW;
  if ((low & (geometry.clusterSize - 1) & ~zeroFlag) !== 0) {
    throw damaged(table, index, geometry, 'does not point at the start of a cluster');
  }
  if (!geometry.externalData && (high & COPIED_HIGH) !== 0 && (high & OFFSET_HIGH) === 0 && low <= ZERO_LOW) {
    throw damaged(table, index, geometry, 'points at the image header');
  }
}

/** Replaces the cluster's offset in `into` by the subcluster's. */
function decodeSubcluster(table: L2Table, unit: number, geometry: ClusterGeometry, into: UnitState): void {
  const { hostOffset } = into;
  const index = unit >>> 5;
  const word = index * geometry.entryWords;
  const bit = 1 << (unit & 31);
  const isZero = ((table.words[word + 2] ?? 0) & bit) !== 0;
  const isAllocated = ((table.words[word + 3] ?? 0) & bit) !== 0;
  if (((table.words[word + 1] ?? 0) & ZERO_LOW) !== 0) {
    throw damaged(table, index, geometry, 'has the zero flag, which extended L2 entries do not have');
  }
  if (isZero && isAllocated) throw damaged(table, index, geometry, 'has a subcluster that is both allocated and zero');
  if (isAllocated && hostOffset === NO_HOST_OFFSET) {
    throw damaged(table, index, geometry, 'has allocated subclusters and no host cluster');
  }
  into.kind = isZero ? KIND.zero : isAllocated ? KIND.data : KIND.absent;
  into.hostOffset = hostOffset === NO_HOST_OFFSET ? NO_HOST_OFFSET : hostOffset + (unit & 31) * geometry.unitSize;
}

/** Where a compressed cluster lies. Bytes; `length` runs to the end of its last sector. */
export interface CompressedSpan {
  hostOffset: number;
  length: number;
}

const SECTOR_SIZE = 512;

/**
 * The span of the compressed cluster number `index` of the table, into `into`. Throws `corrupt` for reserved bits.
 * qcow2 specification, "Cluster mapping", Compressed Clusters Descriptor.
 */
export function decodeCompressed(table: L2Table, index: number, geometry: ClusterGeometry, into: CompressedSpan): void {
  const high = table.words[index * geometry.entryWords] ?? 0;
  const low = table.words[index * geometry.entryWords + 1] ?? 0;
  const offsetBitsInHigh = compressedOffsetBits(geometry.clusterBits) - 32;
  const offsetHigh = high & (2 ** offsetBitsInHigh - 1);
  if (offsetHigh > OFFSET_HIGH) throw damaged(table, index, geometry, 'has reserved bits set');
  const sectors = ((high & DESCRIPTOR_HIGH) >>> offsetBitsInHigh) + 1;
  into.hostOffset = offsetHigh * 2 ** 32 + low;
  into.length = sectors * SECTOR_SIZE - (low & (SECTOR_SIZE - 1));
}

/** Bits of a compressed cluster's descriptor that hold its offset: x in the specification. */
export function compressedOffsetBits(clusterBits: number): number {
  return 62 - (clusterBits - 8);
}

/** The high and low words of a standard entry whose refcount is exactly one. */
export function standardEntry(hostOffset: number): { readonly high: number; readonly low: number } {
  return { high: (COPIED_HIGH | Math.floor(hostOffset / 2 ** 32)) >>> 0, low: hostOffset % 2 ** 32 };
}

/** The high and low words of the entry of a compressed cluster of `length` bytes. */
export function compressedEntry(
  hostOffset: number,
  length: number,
  clusterBits: number,
): { readonly high: number; readonly low: number } {
  const moreSectors = Math.floor(((hostOffset % SECTOR_SIZE) + length - 1) / SECTOR_SIZE);
  const offsetBitsInHigh = compressedOffsetBits(clusterBits) - 32;
  const high = COMPRESSED_HIGH | (moreSectors << offsetBitsInHigh) | Math.floor(hostOffset / 2 ** 32);
  return { high: high >>> 0, low: hostOffset % 2 ** 32 };
}

/** Byte offset of the host cluster in a standard entry as it stands, lawful or not; `NO_HOST_OFFSET` without one. */
export function rawHostOffset(table: L2Table, index: number, geometry: ClusterGeometry): number {
  const high = table.words[index * geometry.entryWords] ?? 0;
  const low = (table.words[index * geometry.entryWords + 1] ?? 0) & ~UNALIGNED_LOW;
  if ((high & COMPRESSED_HIGH) !== 0 || ((high & OFFSET_HIGH) === 0 && low === 0)) return NO_HOST_OFFSET;
  return (high & OFFSET_HIGH) * 2 ** 32 + (low >>> 0);
}

/** True when the entry says nothing at all: an unallocated cluster. */
export function isEmptyEntry(table: L2Table, index: number, geometry: ClusterGeometry): boolean {
  const word = index * geometry.entryWords;
  for (let i = 0; i < geometry.entryWords; i++) if (table.words[word + i] !== 0) return false;
  return true;
}

/** True when the entry says that its cluster has a refcount of exactly one. */
export function l2EntryCopied(table: L2Table, index: number, geometry: ClusterGeometry): boolean {
  return ((table.words[index * geometry.entryWords] ?? 0) & COPIED_HIGH) !== 0;
}

/** `corrupt`, naming the entry: "L2 entry 7 has reserved bits set". */
export function damaged(table: L2Table, index: number, geometry: ClusterGeometry, what: string): Error {
  return qcow2Error('corrupt', `L2 entry ${index} ${what}`, {
    structure: 'L2 table',
    offset: table.hostOffset + index * geometry.entryWords * 4,
  });
}
