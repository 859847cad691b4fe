import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

/** Zeros of this length are left as holes. */
const HOLE_SIZE = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE_SIZE);

/** Writes the bytes from an offset on, behind which the file has nothing; runs of zeros become holes. Gives its size. */
export async function writeBytes(file: FileHandle, bytes: AsyncIterable<Uint8Array>, from = 0): Promise<number> {
  let offset = from;
  for await (const piece of bytes) {
    await writeSparsely(file, piece, offset);
    offset += piece.length;
  }
  await file.truncate(offset);
  return offset;
}

/** Writes a piece where the file has nothing; its runs of zeros become holes, at the end too: there the file stays shorter. */
export async function writeSparsely(file: FileHandle, piece: Uint8Array, offset: number): Promise<void> {
  for (let begin = 0; begin < piece.length;) {
    const zero = isHole(piece, begin);
    let end = begin + HOLE_SIZE;
    while (end < piece.length && isHole(piece, end) === zero) end += HOLE_SIZE;
    if (!zero) await writePart(file, piece.subarray(begin, end), offset + begin);
    begin = end;
  }
}

function isHole(piece: Uint8Array, begin: number): boolean {
  const part = piece.subarray(begin, begin + HOLE_SIZE);
  return ZEROS.compare(part, 0, part.length, 0, part.length) === 0;
}

async function writePart(file: FileHandle, part: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < part.length;) {
    const { bytesWritten } = await file.write(part, done, part.length - done, offset + done);
    done += bytesWritten;
  }
}

/** Makes the names in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
