import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { openFileSourceSync } from '@diskmorph/disk-image-node';

const PIECE = new Uint8Array(256 * 1024);

/** Writes zeros into every hole of a file, so that its space is taken. */
export async function allocateHoles(path: string): Promise<void> {
  const source = openFileSourceSync(path);
  const fd = openSync(path, 'r+');
  try {
    for (let position = 0; position < source.size;) {
      const data = source.holes === undefined ? { start: 0, end: source.size } : source.holes.nextData(position);
      fill(fd, position, data?.start ?? source.size);
      position = data?.end ?? source.size;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
    await source.close();
  }
}

function fill(fd: number, start: number, end: number): void {
  for (let at = start; at < end; at += PIECE.length) {
    writeSync(fd, PIECE, 0, Math.min(PIECE.length, end - at), at);
  }
}
