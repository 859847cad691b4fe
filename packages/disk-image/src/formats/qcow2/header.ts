import { checkedRange, fieldReader } from '../../bytes/numbers.ts';
import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { MAX_CLUSTER_BITS, MAX_FILE_NAME_LENGTH, MAX_REFCOUNT_ORDER, MIN_CLUSTER_BITS } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

/** "QFI\xfb". qcow2 specification, "Header", magic. */
export const MAGIC: number = 0x514649fb;
const VERSION_2_LENGTH = 72;
const VERSION_3_MIN_LENGTH = 104;
/** What this writer gives version 3: up to compression_type and its padding. */
const WRITTEN_VERSION_3_LENGTH = 112;
const COMPRESSION_TYPE_AT = 104;
const VERSION_2_REFCOUNT_ORDER = 4;

/** Bits of incompatible_features. */
export const INCOMPATIBLE: Readonly<
  Record<'dirty' | 'corrupt' | 'externalDataFile' | 'compressionType' | 'extendedL2', bigint>
> = { dirty: 1n, corrupt: 2n, externalDataFile: 4n, compressionType: 8n, extendedL2: 16n };
/** Bits of compatible_features. */
export const COMPATIBLE: Readonly<Record<'lazyRefcounts', bigint>> = { lazyRefcounts: 1n };
/** Bits of autoclear_features. */
export const AUTOCLEAR: Readonly<Record<'bitmaps' | 'rawExternalData', bigint>> = { bitmaps: 1n, rawExternalData: 2n };

/** The values of crypt_method by number. */
export const CRYPT_METHODS: readonly string[] = ['none', 'AES', 'LUKS'];

/** The header's fields. Offsets and sizes in bytes. qcow2 specification, "Header". */
export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly backingFileOffset: number;
  readonly backingFileSize: number;
  readonly clusterBits: number;
  readonly virtualSize: number;
  readonly cryptMethod: number;
  readonly l1Size: number;
  readonly l1TableOffset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatibleFeatures: bigint;
  readonly compatibleFeatures: bigint;
  readonly autoclearFeatures: bigint;
  readonly refcountOrder: number;
  readonly headerLength: number;
  /** 0 zlib, 1 zstd. */
  readonly compressionType: number;
}

/** True when the bytes begin with the magic number and version 2 or higher (version 1 is the older format qcow). */
export function hasQcow2Magic(head: Uint8Array): boolean {
  if (head.length < 8) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(0) === MAGIC && view.getUint32(4) >= 2;
}

/** The header and the bytes of the first cluster, as far as the file has them. */
export interface HeaderCluster {
  readonly header: Qcow2Header;
  /** The first cluster, where header extensions and the backing file's name lie. */
  readonly bytes: Uint8Array;
}

/**
 * Reads the first cluster and parses the header in it. Judges single fields, not what they mean together.
 * Throws `wrong_format`, `unsupported` (a version above 3), `truncated`, `corrupt`.
 */
export async function readHeader(source: ByteSource): Promise<HeaderCluster> {
  const head = await readBytes(source, 0, Math.min(source.size, VERSION_2_LENGTH));
  if (!hasQcow2Magic(head)) {
    throw qcow2Error('wrong_format', 'The file does not begin with the qcow2 magic number', {
      structure: 'header',
      offset: 0,
    });
  }
  if (head.length < VERSION_2_LENGTH) throw headerTruncated(source.size);
  const clusterBits = checkedRange(
    fieldReader(head, 'big', HEADER_CONTEXT).u32(20),
    MIN_CLUSTER_BITS,
    MAX_CLUSTER_BITS,
    { ...HEADER_CONTEXT, field: 'cluster_bits', offset: 20 },
  );
  const bytes = await readBytes(source, 0, Math.min(source.size, 2 ** clusterBits));
  return { header: parseHeader(bytes), bytes };
}

const HEADER_CONTEXT = { format: 'qcow2', structure: 'header' };

function headerTruncated(size: number): Error {
  return qcow2Error('truncated', `The file ends at byte ${size}, inside the qcow2 header`, {
    structure: 'header',
    offset: size,
  });
}

function parseHeader(bytes: Uint8Array): Qcow2Header {
  const fields = fieldReader(bytes, 'big', HEADER_CONTEXT);
  const version = fields.u32(4);
  if (version !== 2 && version !== 3) {
    throw qcow2Error('unsupported', `The image has qcow2 version ${version}; versions 2 and 3 are known`, {
      structure: 'header',
      offset: 4,
    });
  }
  return {
    version,
    backingFileOffset: fields.u64(8, 'backing_file_offset'),
    backingFileSize: fields.u32(16),
    clusterBits: fields.u32(20),
    virtualSize: fields.u64(24, 'size'),
    cryptMethod: fields.u32(32),
    l1Size: fields.u32(36),
    l1TableOffset: fields.u64(40, 'l1_table_offset'),
    refcountTableOffset: fields.u64(48, 'refcount_table_offset'),
    refcountTableClusters: fields.u32(56),
    snapshotCount: fields.u32(60),
    snapshotsOffset: fields.u64(64, 'snapshots_offset'),
    ...(version === 2 ? VERSION_2_FIELDS : parseVersion3Fields(bytes)),
  };
}

type Version3Fields = Pick<
  Qcow2Header,
  | 'incompatibleFeatures'
  | 'compatibleFeatures'
  | 'autoclearFeatures'
  | 'refcountOrder'
  | 'headerLength'
  | 'compressionType'
>;

const VERSION_2_FIELDS: Version3Fields = {
  incompatibleFeatures: 0n,
  compatibleFeatures: 0n,
  autoclearFeatures: 0n,
  refcountOrder: VERSION_2_REFCOUNT_ORDER,
  headerLength: VERSION_2_LENGTH,
  compressionType: 0,
};

function parseVersion3Fields(bytes: Uint8Array): Version3Fields {
  if (bytes.length < VERSION_3_MIN_LENGTH) throw headerTruncated(bytes.length);
  const fields = fieldReader(bytes, 'big', HEADER_CONTEXT);
  const clusterSize = 2 ** fields.u32(20);
  const headerLength = checkedRange(fields.u32(100), VERSION_3_MIN_LENGTH, clusterSize, {
    ...HEADER_CONTEXT,
    field: 'header_length',
    offset: 100,
  });
  if (headerLength % 8 !== 0) {
    throw qcow2Error('corrupt', `header_length is ${headerLength}, which is not a multiple of 8`, {
      structure: 'header',
      offset: 100,
    });
  }
  if (headerLength > bytes.length) throw headerTruncated(bytes.length);
  return {
    incompatibleFeatures: fields.bits64(72),
    compatibleFeatures: fields.bits64(80),
    autoclearFeatures: fields.bits64(88),
    refcountOrder: checkedRange(fields.u32(96), 0, MAX_REFCOUNT_ORDER, {
      ...HEADER_CONTEXT,
      field: 'refcount_order',
      offset: 96,
    }),
    headerLength,
    compressionType: headerLength > COMPRESSION_TYPE_AT ? fields.u8(COMPRESSION_TYPE_AT) : 0,
  };
}

/** Bytes of the header that `encodeHeader` writes for this version. */
export function writtenHeaderLength(version: 2 | 3): number {
  return version === 2 ? VERSION_2_LENGTH : WRITTEN_VERSION_3_LENGTH;
}

/** The header's bytes, `writtenHeaderLength` long, without extensions. */
export function encodeHeader(header: Qcow2Header): Uint8Array {
  const bytes = new Uint8Array(writtenHeaderLength(header.version));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  view.setBigUint64(8, BigInt(header.backingFileOffset));
  view.setUint32(16, header.backingFileSize);
  view.setUint32(20, header.clusterBits);
  view.setBigUint64(24, BigInt(header.virtualSize));
  view.setUint32(32, header.cryptMethod);
  view.setUint32(36, header.l1Size);
  view.setBigUint64(40, BigInt(header.l1TableOffset));
  view.setBigUint64(48, BigInt(header.refcountTableOffset));
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(60, header.snapshotCount);
  view.setBigUint64(64, BigInt(header.snapshotsOffset));
  if (header.version === 2) return bytes;
  view.setBigUint64(72, header.incompatibleFeatures);
  view.setBigUint64(80, header.compatibleFeatures);
  view.setBigUint64(88, header.autoclearFeatures);
  view.setUint32(96, header.refcountOrder);
  view.setUint32(100, bytes.length);
  view.setUint8(COMPRESSION_TYPE_AT, header.compressionType);
  return bytes;
}

/**
 * The backing file's name, or undefined when there is none. Throws `corrupt` when it is longer than 1023 bytes or
 * leaves the first cluster, `truncated` when the file ends before it.
 */
export function backingFileName(cluster: HeaderCluster): string | undefined {
  const { backingFileOffset: offset, backingFileSize: length, clusterBits } = cluster.header;
  if (offset === 0) return undefined;
  const place = { structure: 'backing file name', offset: 8 };
  if (length > MAX_FILE_NAME_LENGTH) {
    throw qcow2Error(
      'corrupt',
      `The backing file name has ${length} bytes; ${MAX_FILE_NAME_LENGTH} is the most`,
      place,
    );
  }
  if (offset + length > 2 ** clusterBits) {
    throw qcow2Error('corrupt', 'The backing file name leaves the first cluster', place);
  }
  if (offset + length > cluster.bytes.length) {
    throw qcow2Error('truncated', 'The file ends before the backing file name', place);
  }
  return decodeName(cluster.bytes.subarray(offset, offset + length));
}

/** Text of a name field: UTF-8, damaged sequences replaced. */
export function decodeName(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}
