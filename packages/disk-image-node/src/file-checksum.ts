import { createHash } from 'node:crypto';
import { progressMeter } from '@diskmorph/disk-image';
import type { FileWork } from './digest-file.ts';
import { openFileSource } from './file-source.ts';

const PIECE_BYTES: number = 2 ** 20;

/** The SHA-256 of a file's bytes, in hexadecimal: what `sha256sum` prints. Throws `io` and `aborted`. */
export async function checksumFile(path: string, work: Omit<FileWork, 'workers'> = {}): Promise<string> {
  const source = await openFileSource(path);
  try {
    const hash = createHash('sha256');
    const piece = new Uint8Array(PIECE_BYTES);
    const ports = { now: () => performance.now(), onProgress: work.onProgress };
    const meter = progressMeter('checksum', source.size, ports);
    for (let offset = 0; offset < source.size; offset += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, source.size - offset));
      await source.read(offset, part, work.signal);
      hash.update(part);
      meter.update(offset + part.length);
    }
    meter.finish();
    return hash.digest('hex');
  } finally {
    await source.close();
  }
}
