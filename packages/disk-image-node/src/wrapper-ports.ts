import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { ByteStream, WrapperPorts } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';

const OUTPUT_BYTES = 256 * 1024;
/** The largest window that a frame may ask for: 128 MiB. */
const WINDOW_LOG_MAX = 27;

/** What unpacking needs, by Node's own zstd and digests. The checksums of zstd frames are checked. */
export const nodeWrapperPorts: WrapperPorts = {
  hash: (name) => createHash(name),
  zstdFrame,
};

async function* zstdFrame(frame: ByteStream): AsyncGenerator<Uint8Array> {
  const engine = zlib.createZstdDecompress({
    chunkSize: OUTPUT_BYTES,
    params: { [zlib.constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
  });
  // Errors of the frame and of the engine both come out of the engine.
  pipeline(Readable.from(copies(frame), { objectMode: true, highWaterMark: 1 }), engine, () => {});
  try {
    for await (const piece of engine) yield piece as Uint8Array;
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError('corrupt', 'A zstd frame is damaged', { cause: error });
  }
}

/** The engine works while the next piece is read, so none may be reused. */
async function* copies(stream: ByteStream): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield piece.slice();
}
