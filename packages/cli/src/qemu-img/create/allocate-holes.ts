import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { openFileSourceSync, reserveSpace } from '@diskmorph/disk-image-node';

const PIECE = new Uint8Array(256 * 1024);
/** QEMU writes this much at the start of every new file, to find out later how reads must be aligned; maps show it. */
const FIRST_BLOCK_SIZE = 4096;

/** Takes space for a new file that is mostly holes: all of it, or what QEMU takes of every file. */
export async function allocateNew(path: string, how: 'no' | 'falloc' | 'full'): Promise<void> {
  if (how !== 'no') await allocateHoles(path, how);
  if (how !== 'full') await fillHoles(path, FIRST_BLOCK_SIZE);
}

/** Takes space for every hole of a file: `full` writes zeros, `falloc` lets the file system keep the space if it can. */
export async function allocateHoles(path: string, how: 'falloc' | 'full'): Promise<void> {
  if (how === 'falloc' && reserveSpace(path)) return;
  await fillHoles(path, Infinity);
  const fd = openSync(path, 'r+');
  fsyncSync(fd);
  closeSync(fd);
}

async function fillHoles(path: string, end: number): Promise<void> {
  const source = openFileSourceSync(path);
  const fd = openSync(path, 'r+');
  try {
    const last = Math.min(end, source.size);
    for (let position = 0; position < last;) {
      const data = source.holes === undefined ? { start: 0, end: source.size } : source.holes.nextData(position);
      fill(fd, position, Math.min(last, data?.start ?? source.size));
      position = data?.end ?? source.size;
    }
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
