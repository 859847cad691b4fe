import { stat } from 'node:fs/promises';
import type { Checksums } from './checksum-span.ts';

/** A file that was written. */
export interface WrittenFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Bytes that it takes on the disk. */
  readonly allocatedBytes: number;
  /** Those that were asked for. */
  readonly checksums?: Checksums;
}

/** What the file system says of the file at `path`. */
export async function writtenFile(path: string, checksums: Checksums = {}): Promise<WrittenFile> {
  const { size, blocks } = await stat(path);
  const known = Object.keys(checksums).length === 0 ? {} : { checksums };
  return { path, sizeBytes: size, allocatedBytes: blocks * 512, ...known };
}
