import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { vmdkError } from './fault.ts';
import { SECTOR_SIZE } from './sector.ts';
import type { SparseHeader } from './sparse-header.ts';
import { parseSparseHeader, SPARSE_HEADER_SIZE, SPARSE_MAGIC } from './sparse-header.ts';

/** Bytes of a grain marker: the grain's first sector (u64) and the length of the data that follows (u32). */
export const GRAIN_MARKER_SIZE = 12;

/** The types of metadata markers. Virtual Disk Format 5.0, "Stream-Optimized Compressed". */
export type MarkerType = 'end-of-stream' | 'grain-table' | 'grain-directory' | 'footer';

const MARKER_TYPES: readonly MarkerType[] = ['end-of-stream', 'grain-table', 'grain-directory', 'footer'];
/** Footer marker, footer and end-of-stream marker: one sector each, the last of the file. */
const TRAILER_SIZE: number = 3 * SECTOR_SIZE;

/** What a marker in front of a compressed grain says. */
export interface GrainMarker {
  /** Guest byte offset of the grain in its extent; NaN when it is beyond any disk. */
  readonly guestOffset: number;
  /** Bytes of zlib data that follow the marker. */
  readonly dataLength: number;
}

/** The grain marker at `at` of the bytes seen by `view`; 12 bytes must be there. */
export function parseGrainMarker(view: DataView, at: number): GrainMarker {
  const high = view.getUint32(at + 4, true);
  // Sectors from 2^44 on have no exact byte offset, and no disk reaches so far.
  const sector = high < 2 ** 12 ? high * 2 ** 32 + view.getUint32(at, true) : Number.NaN;
  return { guestOffset: sector * SECTOR_SIZE, dataLength: view.getUint32(at + 8, true) };
}

/** Writes the marker of a grain at the start of `into`. */
export function putGrainMarker(into: Uint8Array, marker: GrainMarker): void {
  const view = new DataView(into.buffer, into.byteOffset, GRAIN_MARKER_SIZE);
  view.setBigUint64(0, BigInt(marker.guestOffset / SECTOR_SIZE), true);
  view.setUint32(8, marker.dataLength, true);
}

/** The sector of a metadata marker that announces `length` bytes, which begin in the next sector. */
export function encodeMarker(type: MarkerType, length: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(length / SECTOR_SIZE), true);
  view.setUint32(12, MARKER_TYPES.indexOf(type), true);
  return bytes;
}

function isMarker(bytes: Uint8Array, type: MarkerType): boolean {
  const fields = fieldReader(bytes, 'little', { format: 'vmdk', structure: 'marker' });
  const announced = type === 'end-of-stream' ? fields.bits64(0) === 0n : true;
  return announced && fields.u32(8) === 0 && fields.u32(12) === MARKER_TYPES.indexOf(type);
}

/**
 * The footer of a stream-optimized extent whose header leaves the grain directory to it: footer marker, footer and
 * end-of-stream marker are the last three sectors. Throws `truncated` when they are not there, `corrupt` when the
 * footer contradicts the header.
 */
export async function readFooter(source: ByteSource, header: SparseHeader): Promise<SparseHeader> {
  const offset = source.size - TRAILER_SIZE;
  if (offset < SPARSE_HEADER_SIZE) throw footerMissing(source.size);
  const trailer = await readBytes(source, offset, TRAILER_SIZE);
  const whole =
    isMarker(trailer.subarray(0, SECTOR_SIZE), 'footer') &&
    isMarker(trailer.subarray(2 * SECTOR_SIZE), 'end-of-stream');
  if (!whole) throw footerMissing(source.size);
  const footerOffset = offset + SECTOR_SIZE;
  const footer = parseFooter(trailer.subarray(SECTOR_SIZE, 2 * SECTOR_SIZE), footerOffset);
  const same =
    footer.version === header.version &&
    footer.flags === header.flags &&
    footer.capacity === header.capacity &&
    footer.grainSize === header.grainSize &&
    footer.entriesPerTable === header.entriesPerTable &&
    footer.compressAlgorithm === header.compressAlgorithm;
  if (!same || footer.directoryOffset === 'at-end') {
    throw vmdkError('corrupt', 'The footer contradicts the header at the start of the file', 'footer', footerOffset);
  }
  return footer;
}

function parseFooter(bytes: Uint8Array, offset: number): SparseHeader {
  const magic = fieldReader(bytes, 'little', { format: 'vmdk', structure: 'footer', offset }).u32(0);
  if (magic === SPARSE_MAGIC) return parseSparseHeader(bytes, offset);
  throw vmdkError('corrupt', 'The footer marker is not followed by a footer', 'footer', offset);
}

function footerMissing(size: number): Error {
  return vmdkError(
    'truncated',
    'The stream-optimized image ends before its footer, which holds the place of the grain directory: the file is cut off; copy or export it again',
    'footer',
    size,
  );
}
