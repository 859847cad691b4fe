import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { ByteStream, WrapperPorts } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';

const OUTPUT_BYTES = 256 * 1024;
/** The largest window that a frame may ask for: 128 MiB. */
const WINDOW_LOG_MAX = 27;
const PARAMETERS = { [zlib.constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX };

/** What unpacking needs, by Node's own zstd and digests. The checksums of zstd frames are checked. */
export const nodeWrapperPorts: WrapperPorts = {
  hash: (name) => createHash(name),
  zstdFrame,
};

/** A frame of no more packed bytes than this is decoded at once: an engine for each of many small ones is dear. */
const SMALL_FRAME_BYTES = 64 * 1024;
const MAX_SMALL_OUTPUT_BYTES = 4 * 2 ** 20;

async function* zstdFrame(frame: ByteStream): AsyncGenerator<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const rest = frame[Symbol.asyncIterator]();
  for (let next = await rest.next(); ; next = await rest.next()) {
    if (next.done === true) {
      const small = decodedAtOnce(Buffer.concat(pieces));
      if (small === undefined) break;
      if (small.length > 0) yield small;
      return;
    }
    pieces.push(next.value.slice());
    length += next.value.length;
    if (length > SMALL_FRAME_BYTES) break;
  }
  yield* streamedFrame(joined(pieces, rest));
}

/** The content of a whole frame; undefined when it is large. Throws `corrupt`. */
function decodedAtOnce(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return zlib.zstdDecompressSync(bytes, { maxOutputLength: MAX_SMALL_OUTPUT_BYTES, params: PARAMETERS });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw damagedFrame(error);
  }
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

async function* streamedFrame(frame: ByteStream): AsyncGenerator<Uint8Array> {
  const engine = zlib.createZstdDecompress({
    chunkSize: OUTPUT_BYTES,
    params: PARAMETERS,
  });
  // Errors of the frame and of the engine both come out of the engine.
  pipeline(Readable.from(copies(frame), { objectMode: true, highWaterMark: 1 }), engine, () => {});
  try {
    for await (const piece of engine) yield piece as Uint8Array;
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw damagedFrame(error);
  }
}

function damagedFrame(cause: unknown): ImageError {
  return new ImageError('corrupt', 'A zstd frame is damaged', { cause });
}

/** The engine works while the next piece is read, so none may be reused. */
async function* copies(stream: ByteStream): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield piece.slice();
}
