import type { ImageInfo } from '../../image/disk-image.ts';
import type { Details, JsonValue } from '../../image/finding.ts';
import type { ImageReference } from '../../image/reference.ts';
import { AUTOCLEAR, COMPATIBLE, CRYPT_METHODS, INCOMPATIBLE } from './header.ts';
import type { Metadata } from './metadata.ts';

/** What the metadata says, in the words that every format shares; `details` in the words of qcow2. */
export function imageInfo(metadata: Metadata): ImageInfo {
  const { header, geometry } = metadata;
  const backing = backingReference(metadata);
  const dataFile = dataFileReference(metadata);
  const encryption = header.cryptMethod === 0 ? undefined : (CRYPT_METHODS[header.cryptMethod] ?? 'unknown');
  return {
    format: 'qcow2',
    virtualSize: header.virtualSize,
    unitSize: geometry.clusterSize,
    ...(backing === undefined ? {} : { backing }),
    references: [backing, dataFile].filter((reference) => reference !== undefined),
    ...(encryption === undefined ? {} : { encryption }),
    dirty: (header.incompatibleFeatures & INCOMPATIBLE.dirty) !== 0n,
    corrupt: (header.incompatibleFeatures & INCOMPATIBLE.corrupt) !== 0n,
    snapshots: metadata.snapshots.map((snapshot) => snapshot.info),
    details: details(metadata),
  };
}

function backingReference(metadata: Metadata): ImageReference | undefined {
  if (metadata.backingFile === undefined) return undefined;
  const format = metadata.extensions.backingFormat;
  return { kind: 'backing', name: metadata.backingFile, ...(format === undefined ? {} : { format }) };
}

/** The external data file, which is always raw, or undefined when guest data lies in the image itself. */
export function dataFileReference(metadata: Metadata): ImageReference | undefined {
  if (!metadata.geometry.externalData) return undefined;
  return { kind: 'data-file', name: metadata.extensions.dataFileName ?? '', format: 'raw' };
}

function details(metadata: Metadata): Details {
  const { header, geometry, extensions } = metadata;
  const isVersion3 = header.version === 3;
  return {
    version: header.version,
    compat: isVersion3 ? '1.1' : '0.10',
    'cluster-size': geometry.clusterSize,
    'compression-type': geometry.compression === 'zstd' ? 'zstd' : 'zlib',
    'refcount-bits': 2 ** header.refcountOrder,
    'lazy-refcounts': (header.compatibleFeatures & COMPATIBLE.lazyRefcounts) !== 0n,
    dirty: (header.incompatibleFeatures & INCOMPATIBLE.dirty) !== 0n,
    corrupt: (header.incompatibleFeatures & INCOMPATIBLE.corrupt) !== 0n,
    'extended-l2': geometry.extendedL2,
    ...(geometry.externalData
      ? {
          'data-file': extensions.dataFileName ?? '',
          'data-file-raw': (header.autoclearFeatures & AUTOCLEAR.rawExternalData) !== 0n,
        }
      : {}),
    ...(header.cryptMethod === 0 ? {} : { encrypt: CRYPT_METHODS[header.cryptMethod]?.toLowerCase() ?? 'unknown' }),
    ...(metadata.bitmaps.length === 0 ? {} : { bitmaps: bitmapDetails(metadata) }),
    'header-length': header.headerLength,
    'header-extensions': extensionDetails(metadata),
    'incompatible-features': hex(header.incompatibleFeatures),
    'compatible-features': hex(header.compatibleFeatures),
    'autoclear-features': hex(header.autoclearFeatures),
  };
}

function bitmapDetails(metadata: Metadata): JsonValue {
  return metadata.bitmaps.map((bitmap) => ({
    name: bitmap.name,
    granularity: bitmap.granularity,
    flags: [...(bitmap.inUse ? ['in-use'] : []), ...(bitmap.auto ? ['auto'] : [])],
  }));
}

function extensionDetails(metadata: Metadata): JsonValue {
  return metadata.extensions.all.map((extension) => ({
    type: `0x${extension.type.toString(16).padStart(8, '0')}`,
    name: extension.name ?? 'unknown',
    length: extension.data.length,
  }));
}

function hex(bits: bigint): string {
  return `0x${bits.toString(16)}`;
}
