import type { ByteSource } from '../../bytes/byte-source.ts';
import type { BitmapInfo } from './bitmap-directory.ts';
import { readBitmapDirectory } from './bitmap-directory.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { clusterGeometry, neededL1Entries } from './cluster-geometry.ts';
import type { Fault } from './fault.ts';
import { errorFault, tableFault } from './fault.ts';
import { unknownFeatureFaults } from './feature.ts';
import type { HeaderCluster, Qcow2Header } from './header.ts';
import { AUTOCLEAR, backingFileName, CRYPT_METHODS, INCOMPATIBLE, readHeader } from './header.ts';
import type { HeaderExtensions } from './header-extension.ts';
import { parseHeaderExtensions } from './header-extension.ts';
import { MAX_L1_TABLE_SIZE, MAX_REFCOUNT_TABLE_SIZE, MIN_EXTENDED_L2_CLUSTER_BITS } from './limits.ts';
import type { Snapshot } from './snapshot-table.ts';
import { readSnapshotTable } from './snapshot-table.ts';

/** Everything that the image says outside its cluster mapping, and what is wrong with it. */
export interface Metadata {
  readonly header: Qcow2Header;
  readonly geometry: ClusterGeometry;
  readonly extensions: HeaderExtensions;
  readonly backingFile: string | undefined;
  readonly snapshots: readonly Snapshot[];
  readonly bitmaps: readonly BitmapInfo[];
  /** Why the image cannot be read completely, the most fundamental first. */
  readonly faults: readonly Fault[];
}

const NO_EXTENSIONS: HeaderExtensions = { all: [], featureNames: new Map() };

/**
 * Reads header, extensions, snapshot table and bitmap directory. What is wrong beyond the header's own fields comes
 * back as `faults`. Throws as `readHeader` does.
 */
export async function readMetadata(source: ByteSource): Promise<Metadata> {
  const cluster = await readHeader(source);
  const faults: Fault[] = [];
  const attempt = async <T>(parse: () => T | Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await parse();
    } catch (error) {
      faults.push(errorFault(error));
      return otherwise;
    }
  };
  const extensions = await attempt(() => parseHeaderExtensions(cluster), NO_EXTENSIONS);
  faults.push(...headerFaults(cluster, extensions, source.size));
  const backingFile = await attempt(() => backingFileName(cluster), undefined);
  const snapshots = await attempt(() => readSnapshotTable(source, cluster.header), []);
  const bitmaps = await attempt(() => readBitmapDirectory(source, cluster.header, extensions), []);
  return {
    header: cluster.header,
    geometry: clusterGeometry(cluster.header),
    extensions,
    backingFile,
    snapshots,
    bitmaps,
    faults,
  };
}

function headerFaults(cluster: HeaderCluster, extensions: HeaderExtensions, fileSize: number): Fault[] {
  const { header } = cluster;
  return [
    ...unknownFeatureFaults(header, extensions.featureNames),
    ...encryptionFaults(header),
    ...featureFaults(header, extensions),
    ...tableFaults(header, fileSize),
  ];
}

function encryptionFaults(header: Qcow2Header): Fault[] {
  if (header.cryptMethod === 0) return [];
  const name = CRYPT_METHODS[header.cryptMethod] ?? `an unknown method (${header.cryptMethod})`;
  return [
    {
      code: 'encrypted',
      severity: 'unsafe',
      errorCode: 'unsupported',
      message: `The guest data is encrypted with ${name}; encrypted images cannot be read`,
      structure: 'header',
      offset: 32,
    },
  ];
}

function featureFaults(header: Qcow2Header, extensions: HeaderExtensions): Fault[] {
  const faults: Fault[] = [];
  const add = (offset: number, message: string): void => {
    faults.push({
      code: 'corrupt-table',
      severity: 'unsafe',
      errorCode: 'corrupt',
      message,
      structure: 'header',
      offset,
    });
  };
  const incompatible = (bit: bigint): boolean => (header.incompatibleFeatures & bit) !== 0n;
  if (incompatible(INCOMPATIBLE.extendedL2) && header.clusterBits < MIN_EXTENDED_L2_CLUSTER_BITS) {
    add(20, `Extended L2 entries need clusters of at least 16 KiB, and these have ${2 ** header.clusterBits} bytes`);
  }
  if (incompatible(INCOMPATIBLE.compressionType) !== (header.compressionType !== 0)) {
    add(104, 'The compression type and its feature bit contradict each other');
  }
  if (header.compressionType > 1) {
    faults.push({
      code: 'unknown-feature',
      severity: 'unsafe',
      errorCode: 'unsupported',
      message: `The image uses compression type ${header.compressionType}; 0 (zlib) and 1 (zstd) are known`,
      structure: 'header',
      offset: 104,
    });
  }
  const rawData = (header.autoclearFeatures & AUTOCLEAR.rawExternalData) !== 0n;
  if (rawData && header.backingFileOffset !== 0)
    add(8, 'A raw external data file and a backing file exclude each other');
  if (incompatible(INCOMPATIBLE.externalDataFile) && !extensions.dataFileName) {
    add(72, 'The guest data lies in another file, and the header does not name it');
  }
  return faults;
}

function tableFaults(header: Qcow2Header, fileSize: number): Fault[] {
  const geometry = clusterGeometry(header);
  const { clusterSize } = geometry;
  const places = [
    {
      structure: 'L1 table',
      hostOffset: header.l1TableOffset,
      sizeBytes: header.l1Size * 8,
      maxSizeBytes: MAX_L1_TABLE_SIZE,
      field: 40,
    },
    {
      structure: 'refcount table',
      hostOffset: header.refcountTableOffset,
      sizeBytes: header.refcountTableClusters * clusterSize,
      maxSizeBytes: MAX_REFCOUNT_TABLE_SIZE,
      field: 48,
    },
  ];
  const faults = places.map((place) => tableFault(place, clusterSize, fileSize)).filter((fault) => fault !== undefined);
  const broken = (message: string, structure: string, offset: number): void => {
    faults.push({ code: 'corrupt-table', severity: 'unsafe', errorCode: 'corrupt', message, structure, offset });
  };
  if (header.refcountTableClusters === 0) broken('The image has no refcount table', 'refcount table', 56);
  const needed = neededL1Entries(header.virtualSize, geometry);
  if (header.l1Size < needed) {
    broken(
      `The L1 table has ${header.l1Size} entries; a disk of ${header.virtualSize} bytes needs ${needed}`,
      'L1 table',
      36,
    );
  }
  return faults;
}
