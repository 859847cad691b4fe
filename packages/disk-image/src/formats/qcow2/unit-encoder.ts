import type { Codecs } from '../../bytes/codecs.ts';
import type { StoredUnit, TargetLayout, UnitEncoder } from '../../image/target.ts';
import { SUBCLUSTERS } from './limits.ts';
import { maxRefcount } from './refcount-block.ts';
import { layoutOptions } from './target-layout.ts';

/** `StoredUnit.detail` of a compressed cluster. A verbatim one has its subcluster allocation bitmap, never 0. */
export const COMPRESSED_DETAIL: number = 0;
const ALL_SUBCLUSTERS = 0xffffffff;

/**
 * Stores a cluster compressed where that makes it smaller, else verbatim on a cluster boundary. With extended L2
 * entries a verbatim cluster's zero subclusters are left unallocated: the space is there, the guest sees zeros.
 */
export function unitEncoder(layout: TargetLayout, codecs: Codecs): UnitEncoder {
  const options = layoutOptions(layout);
  const clusterSize = 2 ** options.clusterBits;
  const whole: StoredUnit = { verbatim: true, length: clusterSize, alignment: clusterSize, detail: ALL_SUBCLUSTERS };
  const verbatim = (unit: Uint8Array): StoredUnit =>
    options.extendedL2 ? { ...whole, detail: allocationBitmap(unit, codecs) } : whole;
  if (options.compression === 'none') {
    return { maxStoredLength: 0, looksInside: options.extendedL2, encode: verbatim };
  }
  const method = options.compression === 'zlib' ? 'deflate' : 'zstd';
  const alignment = compressedAlignment(clusterSize, options.refcountOrder);
  return {
    maxStoredLength: clusterSize,
    encode(unit, _guestOffset, into) {
      const length = codecs.compress(method, options.compressionLevel, unit, into.subarray(0, clusterSize - 1));
      return length === 0 ? verbatim(unit) : { verbatim: false, length, alignment, detail: COMPRESSED_DETAIL };
    },
  };
}

function allocationBitmap(unit: Uint8Array, codecs: Codecs): number {
  const size = unit.length / SUBCLUSTERS;
  let bitmap = 0;
  for (let index = 0; index < SUBCLUSTERS; index++) {
    if (!codecs.isZero(unit.subarray(index * size, (index + 1) * size))) bitmap |= 1 << index;
  }
  // Zeros that are kept have their space.
  return bitmap === 0 ? ALL_SUBCLUSTERS : bitmap >>> 0;
}

/**
 * What compressed clusters are aligned to so that no host cluster is ever shared by more of them than its refcount
 * can count: at most `clusterSize / alignment` begin in it, and one more may reach into it from the cluster before
 * (not when each begins a host cluster of its own, being shorter than one).
 */
export function compressedAlignment(clusterSize: number, refcountOrder: number): number {
  let alignment = 1;
  while (alignment < clusterSize && clusterSize / alignment + 1 > maxRefcount(refcountOrder)) alignment *= 2;
  return alignment;
}
