import { alignUp } from '../../bytes/numbers.ts';
import { assert, ImageError } from '../../errors.ts';
import type { LayoutRequest } from '../../image/format.ts';
import type { TargetFile, TargetLayout } from '../../image/target.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { clusterGeometry, neededL1Entries } from './cluster-geometry.ts';
import type { CreateOptions } from './create-options.ts';
import { parseCreateOptions } from './create-options.ts';
import type { Qcow2Header } from './header.ts';
import { headerCluster } from './header-cluster.ts';
import { AUTOCLEAR, COMPATIBLE, INCOMPATIBLE, writtenHeaderLength } from './header.ts';
import { MAX_L1_TABLE_SIZE, MAX_REFCOUNT_TABLE_SIZE } from './limits.ts';
import { metadataClusters } from './metadata-size.ts';

/** QEMU counts disks in sectors, so a disk ends on one. */
const SECTOR_SIZE = 512;

/**
 * Cluster 0 is kept for the header; guest data follows; tables come behind it. Throws `out_of_bounds` for bad options
 * and for a disk that the cluster size or refcount width cannot address (without preallocation the latter shows in `finish`).
 */
export function qcow2Layout(request: LayoutRequest): TargetLayout {
  const options = parseCreateOptions(request.options);
  const virtualSize = alignUp(request.virtualSize, SECTOR_SIZE);
  checkAddressable(options, virtualSize);
  if (options.dataFile === request.fileName) {
    throw new ImageError('out_of_bounds', 'The data file has the name of the image', { format: 'qcow2' });
  }
  if (request.backing !== undefined) {
    checkOverlay(options);
    headerCluster(newHeader(options, virtualSize), { backing: request.backing, dataFile: undefined });
  }
  const { compressionLevel, dataFile, ...plain } = options;
  return {
    format: 'qcow2',
    virtualSize,
    unitSize: 2 ** options.clusterBits,
    files: imageFiles(options, virtualSize),
    ascending: false,
    ...(request.backing === undefined
      ? {}
      : { overlay: { backing: request.backing, zeros: options.version === 2 ? 'stored' : 'marked' } }),
    parameters: { ...plain, compressionLevel: compressionLevel ?? null, dataFile: dataFile ?? null },
  };
}

/** The image's own file, and before its data the file that holds them where that is another one. */
function imageFiles(options: CreateOptions, virtualSize: number): readonly TargetFile[] {
  const hostOffset = 2 ** options.clusterBits;
  const own = { name: '', guestOffset: 0, hostOffset };
  if (options.dataFile === undefined) {
    const placement = options.preallocation === 'metadata' ? 'fixed' : 'append';
    return [{ ...own, guestLength: virtualSize, placement }];
  }
  const data = { name: options.dataFile, guestOffset: 0, guestLength: virtualSize, hostOffset: 0 };
  return [
    { ...own, guestLength: 0, placement: 'fixed' },
    { ...data, placement: 'fixed' },
  ];
}

/** A preallocated cluster shows the backing image's bytes only where its subclusters say so. */
function checkOverlay(options: CreateOptions): void {
  if (options.dataFile !== undefined) {
    throw new ImageError('unsupported', 'A new image with a data file cannot have a backing image', {
      format: 'qcow2',
    });
  }
  if (options.preallocation === 'off' || options.extendedL2) return;
  throw new ImageError('out_of_bounds', 'A preallocated image can have a backing image only with extended_l2=on', {
    format: 'qcow2',
  });
}

function checkAddressable(options: CreateOptions, virtualSize: number): void {
  const geometry = clusterGeometry(newHeader(options, virtualSize));
  const l1Fits = neededL1Entries(virtualSize, geometry) * 8 <= MAX_L1_TABLE_SIZE;
  if (!l1Fits) throw tooLarge(options, `A disk of ${virtualSize} bytes`);
  if (options.preallocation === 'off') return;
  const { refcountTable } = metadataClusters({ virtualSize, ...geometry, refcountOrder: options.refcountOrder });
  checkRefcountTable(options, refcountTable, `A disk of ${virtualSize} bytes`);
}

/** Throws `out_of_bounds` when no reader would accept a refcount table of so many clusters. */
export function checkRefcountTable(options: CreateOptions, clusters: number, what: string): void {
  const bytes = clusters * 2 ** options.clusterBits;
  if (bytes > MAX_REFCOUNT_TABLE_SIZE) throw tooLarge(options, what);
}

function tooLarge(options: CreateOptions, what: string): ImageError {
  return new ImageError(
    'out_of_bounds',
    `${what} is too large for cluster_size=${2 ** options.clusterBits} with refcount_bits=` +
      `${2 ** options.refcountOrder}; choose a larger cluster_size`,
    { format: 'qcow2' },
  );
}

/** The options that `qcow2Layout` put into the layout. */
export function layoutOptions(layout: TargetLayout): CreateOptions {
  const given = layout.parameters;
  const { version, compression, compressionType, preallocation } = given;
  assert(version === 2 || version === 3, 'a qcow2 layout names its version');
  assert(compression === 'none' || compression === 'zlib' || compression === 'zstd', 'and its compression');
  assert(compressionType === 'zlib' || compressionType === 'zstd', 'and its compression type');
  assert(preallocation === 'off' || preallocation === 'metadata' || preallocation === 'full', 'and its preallocation');
  return {
    version,
    clusterBits: Number(given['clusterBits']),
    refcountOrder: Number(given['refcountOrder']),
    compression,
    compressionLevel: given['compressionLevel'] === null ? undefined : Number(given['compressionLevel']),
    compressionType,
    lazyRefcounts: given['lazyRefcounts'] === true,
    extendedL2: given['extendedL2'] === true,
    preallocation,
    dataFile: typeof given['dataFile'] === 'string' ? given['dataFile'] : undefined,
    dataFileRaw: given['dataFileRaw'] === true,
  };
}

/** The header of a new image whose tables have no place yet. */
export function newHeader(options: CreateOptions, virtualSize: number): Qcow2Header {
  const zstd = options.compressionType === 'zstd';
  return {
    version: options.version,
    backingFileOffset: 0,
    backingFileSize: 0,
    clusterBits: options.clusterBits,
    virtualSize,
    cryptMethod: 0,
    l1Size: 0,
    l1TableOffset: 0,
    refcountTableOffset: 0,
    refcountTableClusters: 0,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatibleFeatures:
      (zstd ? INCOMPATIBLE.compressionType : 0n) |
      (options.extendedL2 ? INCOMPATIBLE.extendedL2 : 0n) |
      (options.dataFile === undefined ? 0n : INCOMPATIBLE.externalDataFile),
    compatibleFeatures: options.lazyRefcounts ? COMPATIBLE.lazyRefcounts : 0n,
    autoclearFeatures: options.dataFileRaw ? AUTOCLEAR.rawExternalData : 0n,
    refcountOrder: options.refcountOrder,
    headerLength: writtenHeaderLength(options.version),
    compressionType: zstd ? 1 : 0,
  };
}

/** The geometry of the image that the layout describes. */
export function layoutGeometry(layout: TargetLayout): ClusterGeometry {
  return clusterGeometry(newHeader(layoutOptions(layout), layout.virtualSize));
}
