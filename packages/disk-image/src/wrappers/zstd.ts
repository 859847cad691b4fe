import type { ByteStream, InputWindow } from '../bytes/input-window.ts';
import type { ZstdFrameHeader } from '../bytes/zstd-frame.ts';
import { zstdFrameHeader } from '../bytes/zstd-frame.ts';
import { ImageError } from '../errors.ts';
import type { WrapperPorts } from './ports.ts';

const FRAME_MAGIC = 0xfd2fb528;
/** 0x184d2a50 to 0x184d2a5f. RFC 8878, section 3.1.2. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const LONGEST_HEADER = 18;
const BLOCK_HEADER_BYTES = 3;
const MAX_BLOCK_BYTES = 128 * 1024;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;
const CHECKSUM_BYTES = 4;
const SKIP_PIECE = 256 * 1024;
/** What `zstd --long` asks for, and its decoder takes without being told to. */
const MAX_WINDOW_BYTES = 128 * 2 ** 20;

/**
 * All frames of the file, one after another; skippable ones are skipped. Throws `truncated`, `corrupt` (also for what
 * follows the last frame), `unsafe` for a frame that asks for more memory than any preset, `unsupported` for a dictionary.
 * RFC 8878.
 */
export async function* unzstd(input: InputWindow, ports: WrapperPorts): AsyncGenerator<Uint8Array> {
  do {
    const bytes = await input.need(4, 'zstd frame');
    const magic = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (magic === FRAME_MAGIC) yield* readFrame(input, ports);
    else if ((magic & ~0xf) >>> 0 === SKIPPABLE_MAGIC) await skipFrame(input);
    else throw damaged('does not begin with its magic number, or something else follows it');
  } while (!input.atEnd());
}

async function skipFrame(input: InputWindow): Promise<void> {
  const header = await input.need(8, 'skippable zstd frame');
  let left = new DataView(header.buffer, header.byteOffset).getUint32(4, true);
  input.consume(8);
  while (left > 0) {
    const length = Math.min(left, SKIP_PIECE);
    await input.need(length, 'skippable zstd frame');
    input.consume(length);
    left -= length;
  }
}

async function* readFrame(input: InputWindow, ports: WrapperPorts): AsyncGenerator<Uint8Array> {
  const header = await readHeader(input);
  if (header.windowSize > MAX_WINDOW_BYTES) {
    const message = `A zstd frame asks for a window of ${header.windowSize} bytes; at most ${MAX_WINDOW_BYTES} are accepted`;
    throw new ImageError('unsafe', message, { structure: 'zstd frame' });
  }
  if (header.dictionary !== 0) {
    throw new ImageError('unsupported', `A zstd frame needs the dictionary ${header.dictionary}`);
  }
  let length = 0;
  for await (const piece of ports.zstdFrame(frameBytes(input, header))) {
    length += piece.length;
    yield piece;
  }
  if (length !== (header.contentSize ?? length)) throw damaged('has another length than it says');
}

/** The header, which may be shorter than what is looked at. */
async function readHeader(input: InputWindow): Promise<ZstdFrameHeader> {
  const padded = new Uint8Array(LONGEST_HEADER);
  padded.set((await input.peek(LONGEST_HEADER)).subarray(0, LONGEST_HEADER));
  const header = zstdFrameHeader(padded);
  await input.need(header.length, 'zstd frame');
  return header;
}

/** The bytes of one frame, walked block by block, so that its end is known. */
async function* frameBytes(
  input: InputWindow,
  header: { readonly length: number; readonly hasChecksum: boolean },
): ByteStream & AsyncGenerator<Uint8Array> {
  const take = async (count: number): Promise<Uint8Array> => {
    const bytes = await input.need(count, 'zstd frame');
    input.consume(count);
    return bytes;
  };
  yield await take(header.length);
  for (let isLast = false; !isLast;) {
    const block = await input.need(BLOCK_HEADER_BYTES, 'zstd block');
    const word = (block[0] ?? 0) | ((block[1] ?? 0) << 8) | ((block[2] ?? 0) << 16);
    const type = (word >> 1) & 3;
    const size = word >> 3;
    if (type === BLOCK_RESERVED || size > MAX_BLOCK_BYTES) throw damaged('has an impossible block');
    isLast = (word & 1) !== 0;
    yield await take(BLOCK_HEADER_BYTES + (type === BLOCK_RLE ? 1 : size));
  }
  if (header.hasChecksum) yield await take(CHECKSUM_BYTES);
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `A zstd frame ${how}`, { structure: 'zstd frame' });
}
