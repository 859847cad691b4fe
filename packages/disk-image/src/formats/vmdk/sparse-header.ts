import type { FieldReader } from '../../bytes/numbers.ts';
import { alignUp, fieldReader, isPowerOfTwo } from '../../bytes/numbers.ts';
import type { Fault } from './fault.ts';
import { inStructure, vmdkError } from './fault.ts';
import { MAX_DESCRIPTOR_SIZE } from './descriptor.ts';
import { MAX_EXACT_SECTOR, SECTOR_SIZE } from './sector.ts';

/** The `SparseExtentHeader` of a hosted sparse extent, sectors turned into bytes. Virtual Disk Format 5.0, "Hosted Sparse Extents". */
export interface SparseHeader {
  readonly version: number;
  readonly flags: number;
  /** Guest bytes of the extent. */
  readonly capacity: number;
  /** Guest bytes of one grain. */
  readonly grainSize: number;
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  readonly entriesPerTable: number;
  /** Byte offset of the redundant grain directory; undefined without the flag. */
  readonly redundantDirectoryOffset: number | undefined;
  /** Byte offset of the grain directory, or `at-end`: the footer says where. */
  readonly directoryOffset: number | 'at-end';
  readonly uncleanShutdown: boolean;
  readonly lineEndBytes: readonly number[];
  readonly compressAlgorithm: number;
}

/** Bytes of a header, and of the footer that repeats it. */
export const SPARSE_HEADER_SIZE = 512;
/** `KDMV` as bytes in the file. */
export const SPARSE_MAGIC = 0x564d444b;

const FLAG_LINE_END_TEST = 1 << 0;
const FLAG_REDUNDANT_DIRECTORY = 1 << 1;
const FLAG_ZEROED_GRAINS = 1 << 2;
const FLAG_COMPRESSED = 1 << 16;
const FLAG_MARKERS = 1 << 17;
/** The upper half of the flags must be understood to read the extent; the lower half may be ignored. open-vmdk, `SPARSEFLAG_INCOMPAT_FLAGS`. */
const INCOMPATIBLE_FLAGS = 0xffff0000;
const LINE_END_BYTES: readonly number[] = [0x0a, 0x20, 0x0d, 0x0a];
const COMPRESS_NONE = 0;
const COMPRESS_DEFLATE = 1;
const GD_AT_END = 0xffff_ffff_ffff_ffffn;

/** 2 MiB: VMware writes 64 KiB grains and at most 1 MiB. */
export const MAX_GRAIN_SIZE: number = 2 * 2 ** 20;
/** The specification fixes it at 512. */
export const MAX_TABLE_ENTRIES = 512;
/** 64 TiB: beyond the 62 TiB that any VMware product allows for a disk. */
export const MAX_CAPACITY: number = 64 * 2 ** 40;
/** Entries of one grain directory, 16 MiB of them: twice what 64 TiB needs with grains of 64 KiB. */
export const MAX_DIRECTORY_ENTRIES: number = 4 * 2 ** 20;

/** Do these flags say that a grain table entry of 1 means a grain of zeros? */
export function hasZeroedGrains(header: SparseHeader): boolean {
  return (header.flags & FLAG_ZEROED_GRAINS) !== 0;
}

/** Are the grains compressed, each behind a marker? */
export function isCompressed(header: SparseHeader): boolean {
  return (header.flags & FLAG_COMPRESSED) !== 0;
}

/** Grain tables that cover the capacity, which is also the number of directory entries. */
export function tableCount(header: SparseHeader): number {
  return Math.ceil(Math.ceil(header.capacity / header.grainSize) / header.entriesPerTable);
}

/** Bytes that one grain table takes in the file. */
export function tableSize(header: SparseHeader): number {
  return alignUp(header.entriesPerTable * 4, SECTOR_SIZE);
}

/**
 * The header in the first 512 bytes given. `offset` is where they lie in the file.
 * Throws `wrong_format` without the magic, `corrupt` for a sector number that no file can have.
 */
export function parseSparseHeader(bytes: Uint8Array, offset: number): SparseHeader {
  const fields = fieldReader(bytes, 'little', { format: 'vmdk', structure: 'sparse extent header', offset });
  if (fields.u32(0) !== SPARSE_MAGIC) {
    throw vmdkError('wrong_format', 'A sparse extent does not begin with KDMV', 'sparse extent header', offset);
  }
  const flags = fields.u32(8);
  const sectors = (at: number, field: string): number => sectorField(fields, { at, field, offset });
  return {
    version: fields.u32(4),
    flags,
    capacity: sectors(12, 'capacity'),
    grainSize: sectors(20, 'grainSize'),
    descriptorOffset: sectors(28, 'descriptorOffset'),
    descriptorSize: sectors(36, 'descriptorSize'),
    entriesPerTable: fields.u32(44),
    redundantDirectoryOffset: (flags & FLAG_REDUNDANT_DIRECTORY) === 0 ? undefined : sectors(48, 'rgdOffset'),
    directoryOffset: fields.bits64(56) === GD_AT_END ? 'at-end' : sectors(56, 'gdOffset'),
    uncleanShutdown: fields.u8(72) !== 0,
    lineEndBytes: [...fields.bytes(73, 4)],
    compressAlgorithm: fields.u16(77),
  };
}

function sectorField(
  fields: FieldReader,
  where: { readonly at: number; readonly field: string; readonly offset: number },
): number {
  const sector = fields.u64(where.at, where.field);
  if (sector <= MAX_EXACT_SECTOR) return sector * SECTOR_SIZE;
  throw vmdkError(
    'corrupt',
    `${where.field} is sector ${sector}, beyond the end of any possible file`,
    'sparse extent header',
    where.offset + where.at,
  );
}

/** Every reason in the header alone not to open the extent. */
export function headerFaults(header: SparseHeader): Fault[] {
  return inStructure('sparse extent header', [...featureFaults(header), ...geometryFaults(header)]);
}

type HeaderFault = Omit<Fault, 'structure'>;

function featureFaults(header: SparseHeader): HeaderFault[] {
  const faults: HeaderFault[] = [];
  if (header.version < 1 || header.version > 3) {
    faults.push({
      code: 'unsupported-version',
      refusal: 'unsupported',
      message: `Sparse extent version ${header.version} is not one of 1, 2 and 3`,
      offset: 4,
    });
  }
  const unknown = (header.flags & INCOMPATIBLE_FLAGS & ~(FLAG_COMPRESSED | FLAG_MARKERS)) >>> 0;
  if (unknown !== 0) {
    faults.push({
      code: 'unknown-feature',
      refusal: 'unsupported',
      message: `The sparse extent needs unknown features (flags 0x${unknown.toString(16)})`,
      offset: 8,
    });
  }
  const damaged = header.lineEndBytes.some((byte, index) => byte !== LINE_END_BYTES[index]);
  if ((header.flags & FLAG_LINE_END_TEST) !== 0 && damaged) {
    faults.push({
      code: 'text-mode-damage',
      refusal: 'corrupt',
      message: 'The line-end test bytes are changed: the file was once copied as text and is damaged',
      offset: 73,
    });
  }
  return [...faults, ...compressionFaults(header)];
}

function compressionFaults(header: SparseHeader): HeaderFault[] {
  const compressed = (header.flags & FLAG_COMPRESSED) !== 0;
  const markers = (header.flags & FLAG_MARKERS) !== 0;
  if (header.compressAlgorithm > COMPRESS_DEFLATE) {
    return [
      {
        code: 'unsupported-compression',
        refusal: 'unsupported',
        message: `Compression algorithm ${header.compressAlgorithm} is not known; 1 is deflate`,
        offset: 77,
      },
    ];
  }
  if (compressed !== (header.compressAlgorithm === COMPRESS_DEFLATE)) {
    return [
      {
        code: 'contradictory-header',
        refusal: 'corrupt',
        message: 'The flags and the compression algorithm disagree on whether grains are compressed',
        offset: 77,
      },
    ];
  }
  if (compressed === markers) return [];
  return [
    {
      code: 'unsupported-subformat',
      refusal: 'unsupported',
      message: `Grains that are ${compressed ? 'compressed but have no' : 'not compressed but have'} markers are not supported`,
      offset: 8,
    },
  ];
}

function geometryFaults(header: SparseHeader): HeaderFault[] {
  const faults: HeaderFault[] = [];
  if (!isPowerOfTwo(header.grainSize) || header.grainSize > MAX_GRAIN_SIZE) {
    faults.push({
      code: 'bad-grain-size',
      refusal: 'corrupt',
      message: `A grain of ${header.grainSize} bytes is not a power of two of at most ${MAX_GRAIN_SIZE}`,
      offset: 20,
    });
  }
  if (header.entriesPerTable < 1 || header.entriesPerTable > MAX_TABLE_ENTRIES) {
    faults.push({
      code: 'size-bomb-table',
      refusal: 'corrupt',
      message: `${header.entriesPerTable} entries in a grain table; there may be 1 to ${MAX_TABLE_ENTRIES}`,
      offset: 44,
    });
  }
  faults.push(...capacityFaults(header));
  if (header.descriptorSize > MAX_DESCRIPTOR_SIZE) {
    faults.push({
      code: 'size-bomb-table',
      refusal: 'unsafe',
      message: `A descriptor of ${header.descriptorSize} bytes is larger than the limit of ${MAX_DESCRIPTOR_SIZE}`,
      offset: 36,
    });
  }
  return faults;
}

function capacityFaults(header: SparseHeader): HeaderFault[] {
  if (header.capacity === 0) {
    // Some readers then follow the extents that the embedded descriptor names, so it must not pass as an empty disk.
    return [
      {
        code: 'zero-capacity',
        refusal: 'corrupt',
        message: 'The sparse extent has a capacity of 0 sectors',
        offset: 12,
      },
    ];
  }
  if (header.capacity > MAX_CAPACITY) {
    return [
      {
        code: 'size-bomb-virtual',
        refusal: 'unsafe',
        message: `A disk of ${header.capacity} bytes is larger than the limit of ${MAX_CAPACITY}`,
        offset: 12,
      },
    ];
  }
  if (!(tableCount(header) > MAX_DIRECTORY_ENTRIES)) return [];
  return [
    {
      code: 'size-bomb-table',
      refusal: 'unsafe',
      message: `A grain directory of ${tableCount(header)} entries is larger than the limit of ${MAX_DIRECTORY_ENTRIES}`,
      offset: 12,
    },
  ];
}

/** What a new header says; sizes and offsets in bytes, multiples of 512. */
export interface NewSparseHeader {
  readonly version: number;
  readonly capacity: number;
  readonly grainSize: number;
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  /** 0 for none. */
  readonly redundantDirectoryOffset: number;
  readonly directoryOffset: number | 'at-end';
  readonly overhead: number;
  readonly features: readonly ('zeroed-grains' | 'compressed')[];
}

/** The 512 bytes of a new header (or footer), with 512 entries in each grain table. */
export function encodeSparseHeader(header: NewSparseHeader): Uint8Array {
  const bytes = new Uint8Array(SPARSE_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  const compressed = header.features.includes('compressed');
  const sectors = (at: number, length: number): void => view.setBigUint64(at, BigInt(length / SECTOR_SIZE), true);
  view.setUint32(0, SPARSE_MAGIC, true);
  view.setUint32(4, header.version, true);
  view.setUint32(8, newFlags(header), true);
  sectors(12, header.capacity);
  sectors(20, header.grainSize);
  sectors(28, header.descriptorOffset);
  sectors(36, header.descriptorSize);
  view.setUint32(44, MAX_TABLE_ENTRIES, true);
  sectors(48, header.redundantDirectoryOffset);
  if (header.directoryOffset === 'at-end') view.setBigUint64(56, GD_AT_END, true);
  else sectors(56, header.directoryOffset);
  sectors(64, header.overhead);
  bytes.set(LINE_END_BYTES, 73);
  view.setUint16(77, compressed ? COMPRESS_DEFLATE : COMPRESS_NONE, true);
  return bytes;
}

function newFlags(header: NewSparseHeader): number {
  const redundant = header.redundantDirectoryOffset === 0 ? 0 : FLAG_REDUNDANT_DIRECTORY;
  const zeroed = header.features.includes('zeroed-grains') ? FLAG_ZEROED_GRAINS : 0;
  const compressed = header.features.includes('compressed') ? FLAG_COMPRESSED | FLAG_MARKERS : 0;
  return FLAG_LINE_END_TEST | redundant | zeroed | compressed;
}
