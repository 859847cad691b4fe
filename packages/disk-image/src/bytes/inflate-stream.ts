import { Z_BUF_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, zlibInflate, zlibInflateInit2, ZStream } from 'pako';
import { assert, ImageError } from '../errors.ts';
import type { InputWindow } from './input-window.ts';

/** Window of 32 KiB; negative for a stream without zlib's wrapper. */
const BARE_STREAM = -15;
const PIECE_BYTES = 256 * 1024;

/** What decoding needs of memory; one after the other, streams may share it. */
export interface InflateBuffer {
  readonly piece: Uint8Array<ArrayBuffer>;
}

/** A buffer for `inflateStream`. */
export function inflateBuffer(): InflateBuffer {
  return { piece: new Uint8Array(PIECE_BYTES) };
}

/**
 * The content of the bare deflate stream that begins at the input's position, which ends after it. Throws `truncated`,
 * `corrupt`. RFC 1951.
 */
export async function* inflateStream(
  input: InputWindow,
  { piece }: InflateBuffer = inflateBuffer(),
): AsyncGenerator<Uint8Array> {
  const stream = new ZStream();
  zlibInflateInit2(stream, BARE_STREAM);
  for (let ended = false; !ended;) {
    const bytes = await input.peek(1);
    if (bytes.length === 0) throw new ImageError('truncated', 'The input ends inside a deflate stream');
    stream.input = bytes;
    stream.next_in = 0;
    stream.avail_in = bytes.length;
    do {
      stream.output = piece;
      stream.next_out = 0;
      stream.avail_out = piece.length;
      const status = zlibInflate(stream, Z_NO_FLUSH);
      ended = status === Z_STREAM_END;
      if (!ended && status !== Z_OK && status !== Z_BUF_ERROR) {
        throw new ImageError('corrupt', 'A deflate stream is damaged', { offset: input.position });
      }
      if (stream.next_out > 0) yield piece.subarray(0, stream.next_out);
    } while (!ended && stream.avail_out === 0);
    const used = bytes.length - stream.avail_in;
    assert(used > 0 || ended, 'a decoder with room for output takes its input');
    input.consume(used);
  }
}
