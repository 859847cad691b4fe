import type { Layer } from '../image/layers.ts';
import { withWritableFile } from '../image/writable-file.ts';
import type { CommitTarget } from './commit-into.ts';

/** Pieces in which a raw file is overwritten. */
const UNIT_SIZE = 64 * 1024;

/** Opens a raw layer for writing in place, calls `copy`, and flushes. */
export async function copyIntoSink({ image }: Layer, copy: (target: CommitTarget) => Promise<void>): Promise<void> {
  await withWritableFile(image.location.path, image.location.given, async ({ source, sink }) => {
    await copy({
      virtualSize: source.size,
      unitSize: UNIT_SIZE,
      write: (offset, bytes) => sink.write(offset, bytes),
      zero: (offset, length) => sink.zero(offset, length),
    });
    await sink.flush();
  });
}
