/** A raw disk of 200 GiB that is almost nothing but holes. */
import { open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';

const SIZE_BYTES = 200 * 2 ** 30;
const PIECE_BYTES = 64 * 1024;
const PIECE_COUNT = 1024;

/** The path of the disk in `folder`, made if it is missing: 64 KiB of the disk `content` in every 200 MiB. */
export async function requireSparseDisk(folder: string, content: string): Promise<string> {
  const path = join(folder, 'sparse-200G.raw');
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size !== SIZE_BYTES) {
    await makeSparseDisk(`${path}.new`, content);
    await rename(`${path}.new`, path);
  }
  return path;
}

async function makeSparseDisk(path: string, content: string): Promise<void> {
  const target = await open(path, 'w');
  const source = await open(content, 'r');
  const piece = Buffer.alloc(PIECE_BYTES);
  try {
    await target.truncate(SIZE_BYTES);
    for (let index = 0; index < PIECE_COUNT; index += 1) {
      await source.read(piece, 0, PIECE_BYTES, index * PIECE_BYTES);
      await target.write(piece, 0, PIECE_BYTES, index * (SIZE_BYTES / PIECE_COUNT));
    }
  } finally {
    await source.close();
    await target.close();
  }
}
