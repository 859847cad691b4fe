import { stat } from 'node:fs/promises';

/** A file that was written. */
export interface WrittenFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Bytes that it takes on the disk. */
  readonly allocatedBytes: number;
}

/** What the file system says of the file at `path`. */
export async function writtenFile(path: string): Promise<WrittenFile> {
  const { size, blocks } = await stat(path);
  return { path, sizeBytes: size, allocatedBytes: blocks * 512 };
}
