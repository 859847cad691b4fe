import { ImageError } from '../errors.ts';

const FRAME_MAGIC = 0xfd2fb528;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** What the headers of a frame say without decoding it. */
export interface ZstdFrame {
  /** Bytes that the frame takes, from its magic number to its checksum. */
  readonly length: number;
  /** Memory in bytes that a streaming decoder needs. */
  readonly windowSize: number;
}

/**
 * The first zstd frame in `input`, which may be followed by anything.
 * Throws `corrupt` when no whole frame is there. RFC 8878, section 3.1.1.
 */
export function zstdFrame(input: Uint8Array): ZstdFrame {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const need = (end: number): void => {
    if (end > input.length) throw new ImageError('corrupt', 'A zstd frame ends too early');
  };
  need(5);
  if (view.getUint32(0, true) !== FRAME_MAGIC)
    throw new ImageError('corrupt', 'A zstd frame does not begin with its magic number');
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >> 6;
  const contentSizeLength = contentSizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << contentSizeFlag;
  const dictionaryLength = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSizeAt = 5 + (singleSegment ? 0 : 1) + dictionaryLength;
  need(contentSizeAt + contentSizeLength);
  const windowSize = singleSegment
    ? contentSize(view, contentSizeAt, contentSizeLength)
    : windowDescriptorSize(view.getUint8(5));
  let position = contentSizeAt + contentSizeLength;
  for (let last = false; !last;) {
    need(position + 3);
    const header = view.getUint8(position) | (view.getUint8(position + 1) << 8) | (view.getUint8(position + 2) << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    if (type === BLOCK_RESERVED) throw new ImageError('corrupt', 'A zstd frame has a block of the reserved type');
    position += 3 + (type === BLOCK_RLE ? 1 : header >> 3);
    need(position);
  }
  if ((descriptor & 4) !== 0) position += 4;
  need(position);
  return { length: position, windowSize };
}

/** RFC 8878, section 3.1.1.1.4. A size above 2^53 - 1 comes out inexact, and is too large for anything. */
function contentSize(view: DataView, at: number, length: number): number {
  if (length === 1) return view.getUint8(at);
  if (length === 2) return view.getUint16(at, true) + 256;
  return length === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

/** RFC 8878, section 3.1.1.1.2. */
function windowDescriptorSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}
