/** Memory as a machine has it that has run for a while: full of cache. */
import { close, ftruncate, open, read } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const PIECE_BYTES = 2 ** 20;
/** What the kernel keeps free in any case, and some more. */
const LEFT_FREE_BYTES = 400 * 2 ** 20;
/** So large that what is read again has left the cache since. */
const SIZE_IN_MEMORIES = 3;

/** Fills free memory with the cache of an empty file. */
export interface MemoryFiller {
  fill(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Where a host takes back what its guests do not use, a page that is free costs many times what one in the cache does, and
 * whose run meets such pages depends on what was deleted when. With memory full, every run takes pages that were used before.
 * The file in `folder` takes no space.
 */
export async function memoryFiller(folder: string): Promise<MemoryFiller> {
  const fd = await promisify(open)(join(folder, 'empty'), 'w+');
  const pieces = Math.floor((SIZE_IN_MEMORIES * totalmem()) / PIECE_BYTES);
  await promisify(ftruncate)(fd, pieces * PIECE_BYTES);
  const buffer = Buffer.alloc(PIECE_BYTES);
  let piece = 0;
  return {
    async fill() {
      const wanted = Math.floor(((await freeBytes()) - LEFT_FREE_BYTES) / PIECE_BYTES);
      for (let done = 0; done < wanted; done++) {
        await promisify(read)(fd, buffer, 0, PIECE_BYTES, piece * PIECE_BYTES);
        piece = (piece + 1) % pieces;
      }
    },
    close: () => promisify(close)(fd),
  };
}

async function freeBytes(): Promise<number> {
  const line = /^MemFree:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
}
