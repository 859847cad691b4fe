import { ImageError } from '../errors.ts';

const FRAME_MAGIC = 0xfd2fb528;
const RESERVED_BIT = 0x08;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** What the headers of a frame say without decoding it. */
export interface ZstdFrame {
  /** Bytes that the frame takes, from its magic number to its checksum. */
  readonly length: number;
  /** Memory in bytes that a streaming decoder needs. */
  readonly windowSize: number;
}

/** The header of a frame. */
export interface ZstdFrameHeader {
  /** Bytes of the header, its magic number included. */
  readonly length: number;
  /** Memory in bytes that a streaming decoder needs. */
  readonly windowSize: number;
  /** Bytes of the content, when the frame says so. */
  readonly contentSize?: number;
  /** The dictionary that the content needs, 0 for none. */
  readonly dictionary: number;
  readonly hasChecksum: boolean;
}

/**
 * The header of the frame that `input` begins with. Throws `corrupt` when no whole header is there.
 * RFC 8878, section 3.1.1.1.
 */
export function zstdFrameHeader(input: Uint8Array): ZstdFrameHeader {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  needBytes(input, 5);
  if (view.getUint32(0, true) !== FRAME_MAGIC)
    throw new ImageError('corrupt', 'A zstd frame does not begin with its magic number');
  const descriptor = view.getUint8(4);
  if ((descriptor & RESERVED_BIT) !== 0) throw new ImageError('corrupt', 'A zstd frame has a reserved flag');
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >> 6;
  const contentSizeLength = contentSizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << contentSizeFlag;
  const dictionaryLength = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const dictionaryAt = 5 + (singleSegment ? 0 : 1);
  const contentSizeAt = dictionaryAt + dictionaryLength;
  needBytes(input, contentSizeAt + contentSizeLength);
  const size = contentSizeLength === 0 ? undefined : contentSize(view, contentSizeAt, contentSizeLength);
  let dictionary = 0;
  for (let i = 0; i < dictionaryLength; i++) dictionary += view.getUint8(dictionaryAt + i) * 2 ** (8 * i);
  return {
    length: contentSizeAt + contentSizeLength,
    windowSize: singleSegment ? (size ?? 0) : windowDescriptorSize(view.getUint8(5)),
    ...(size === undefined ? {} : { contentSize: size }),
    dictionary,
    hasChecksum: (descriptor & 4) !== 0,
  };
}

/**
 * The first zstd frame in `input`, which may be followed by anything.
 * Throws `corrupt` when no whole frame is there. RFC 8878, section 3.1.1.
 */
export function zstdFrame(input: Uint8Array): ZstdFrame {
  const header = zstdFrameHeader(input);
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  let position = header.length;
  for (let last = false; !last;) {
    needBytes(input, position + 3);
    const word = view.getUint8(position) | (view.getUint8(position + 1) << 8) | (view.getUint8(position + 2) << 16);
    last = (word & 1) !== 0;
    const type = (word >> 1) & 3;
    if (type === BLOCK_RESERVED) throw new ImageError('corrupt', 'A zstd frame has a block of the reserved type');
    position += 3 + (type === BLOCK_RLE ? 1 : word >> 3);
    needBytes(input, position);
  }
  if (header.hasChecksum) position += 4;
  needBytes(input, position);
  return { length: position, windowSize: header.windowSize };
}

function needBytes(input: Uint8Array, end: number): void {
  if (end > input.length) throw new ImageError('corrupt', 'A zstd frame ends too early');
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
