import { crc32, crc32Continued } from '../bytes/crc32.ts';
import { inflateBuffer, inflateStream } from '../bytes/inflate-stream.ts';
import type { InputWindow } from '../bytes/input-window.ts';
import { ImageError } from '../errors.ts';

const HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const MAGIC = [0x1f, 0x8b, 0x08];
/** Bits of the flags. RFC 1952, section 2.3.1. */
const FLAG_HEADER_CRC = 2;
const FLAG_EXTRA = 4;
const FLAG_NAME = 8;
const FLAG_COMMENT = 16;
const RESERVED_FLAGS = 0xe0;
/** A name or a comment, with its closing zero. */
const MAX_TEXT_BYTES = 64 * 1024;

/**
 * All members of the file, one after another, each held against its checksum and length. Throws `truncated`, `corrupt`
 * (also for what follows the last member). RFC 1952.
 */
export async function* gunzip(input: InputWindow): AsyncGenerator<Uint8Array> {
  const buffer = inflateBuffer();
  do {
    await readHeader(input);
    let crc = 0;
    let length = 0;
    for await (const piece of inflateStream(input, buffer)) {
      crc = crc32Continued(crc, piece);
      length += piece.length;
      yield piece;
    }
    const trailer = await input.need(TRAILER_BYTES, 'gzip trailer');
    const view = new DataView(trailer.buffer, trailer.byteOffset);
    if (view.getUint32(0, true) !== crc) throw damaged('does not match its checksum');
    if (view.getUint32(4, true) !== length % 2 ** 32) throw damaged('has another length than it says');
    input.consume(TRAILER_BYTES);
  } while (!input.atEnd());
}

async function readHeader(input: InputWindow): Promise<void> {
  const parts: Uint8Array[] = [];
  const take = async (count: number): Promise<Uint8Array> => {
    const bytes = (await input.need(count, 'gzip header')).slice();
    input.consume(count);
    parts.push(bytes);
    return bytes;
  };
  const takeText = async (): Promise<void> => {
    const bytes = await input.peek(MAX_TEXT_BYTES);
    const end = bytes.subarray(0, MAX_TEXT_BYTES).indexOf(0);
    if (end >= 0) await take(end + 1);
    else if (bytes.length < MAX_TEXT_BYTES) await input.need(bytes.length + 1, 'gzip header');
    else throw damaged('has a name or a comment of impossible length');
  };
  const header = await take(HEADER_BYTES);
  if (!MAGIC.every((byte, i) => header[i] === byte)) {
    throw damaged('does not begin with its magic number, or something else follows it');
  }
  const flags = header[3] ?? 0;
  if ((flags & RESERVED_FLAGS) !== 0) throw damaged('has reserved flags');
  if ((flags & FLAG_EXTRA) !== 0) {
    const [low = 0, high = 0] = await take(2);
    await take(low + high * 256);
  }
  if ((flags & FLAG_NAME) !== 0) await takeText();
  if ((flags & FLAG_COMMENT) !== 0) await takeText();
  if ((flags & FLAG_HEADER_CRC) === 0) return;
  const crc = parts.reduce((sum, part) => crc32Continued(sum, part), crc32(new Uint8Array(0)));
  const [low = 0, high = 0] = await take(2);
  if (low + high * 256 !== (crc & 0xffff)) throw damaged('has a header that does not match its checksum');
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `A gzip member ${how}`, { structure: 'gzip member' });
}
