import { throwIfAborted } from '@diskmorph/disk-image';
import { openFileSink } from './file-sink.ts';
import { openFileSource } from './file-source.ts';

const PIECE: Uint8Array = new Uint8Array(1024 * 1024);

/** Writes zeros into every hole of the file, so that a copy that keeps holes makes none. Throws `io`, `aborted`. */
export async function fillHoles(filePath: string, signal?: AbortSignal): Promise<void> {
  const source = await openFileSource(filePath);
  const sink = openFileSink(filePath, 'the target');
  try {
    for (let position = 0; position < source.size;) {
      const data = source.holes === undefined ? { start: 0, end: source.size } : source.holes.nextData(position);
      const end = Math.max(position, data?.start ?? source.size);
      for (let at = position; at < end; at += PIECE.length) {
        throwIfAborted(signal);
        await sink.write(at, PIECE.subarray(0, Math.min(PIECE.length, end - at)));
      }
      position = Math.max(end, data?.end ?? source.size);
    }
    await sink.flush();
  } finally {
    await sink.close();
    await source.close();
  }
}
