import type { CompressionMethod } from '../../bytes/codecs.ts';
import type { Qcow2Header } from './header.ts';
import { INCOMPATIBLE } from './header.ts';
import { SUBCLUSTERS } from './limits.ts';

/** How clusters, tables and entries are cut in one image: follows from the header alone. Sizes in bytes. */
export interface ClusterGeometry {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** True when L2 entries have 128 bits and describe subclusters. */
  readonly extendedL2: boolean;
  /** What has a state of its own: a subcluster where there are any, else a cluster. */
  readonly unitSize: number;
  readonly unitsPerCluster: number;
  /** 32-bit words of one L2 entry: 2 or 4. */
  readonly entryWords: number;
  readonly l2Entries: number;
  /** Guest bytes that one L2 table describes. */
  readonly l2Coverage: number;
  /** True when guest clusters lie in another file, at their guest offset. */
  readonly externalData: boolean;
  readonly compression: CompressionMethod;
}

/** The geometry that the header gives. qcow2 specification, "Cluster mapping" and "Extended L2 Entries". */
export function clusterGeometry(header: Qcow2Header): ClusterGeometry {
  const clusterSize = 2 ** header.clusterBits;
  const extendedL2 = (header.incompatibleFeatures & INCOMPATIBLE.extendedL2) !== 0n;
  const entryWords = extendedL2 ? 4 : 2;
  const l2Entries = clusterSize / (entryWords * 4);
  return {
    version: header.version,
    clusterBits: header.clusterBits,
    clusterSize,
    extendedL2,
    unitSize: extendedL2 ? clusterSize / SUBCLUSTERS : clusterSize,
    unitsPerCluster: extendedL2 ? SUBCLUSTERS : 1,
    entryWords,
    l2Entries,
    l2Coverage: l2Entries * clusterSize,
    externalData: (header.incompatibleFeatures & INCOMPATIBLE.externalDataFile) !== 0n,
    compression: header.compressionType === 1 ? 'zstd' : 'deflate',
  };
}

/** L1 entries that a disk of `virtualSize` bytes needs. */
export function neededL1Entries(virtualSize: number, geometry: ClusterGeometry): number {
  return Math.ceil(virtualSize / geometry.l2Coverage);
}
