import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { copyFile, open, rm } from 'node:fs/promises';
import { writeSparsely } from '../files/written-file.ts';
import { StagingError, stagingFault } from './errors.ts';

/** What to copy where. */
export interface FileCopy {
  readonly from: string;
  /** Replaced when it is there. */
  readonly to: string;
  /** More bytes than this are refused before the first is read. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  /** Hears how many bytes are done. */
  readonly onBytes?: (done: number, total: number) => void;
}

/** Bytes that are read, looked at and written together. */
const PIECE_SIZE = 256 * 1024;

/**
 * Copies a regular file, flushed to the disk when it returns; shares the blocks where the file system can, keeps runs of
 * zeros as holes. Nothing is left at `to` when it fails. Throws `bad_source`, `too_large`, `source_changed`, `insufficient_space`, `io`.
 */
export async function copyBytes(copy: FileCopy): Promise<{ readonly sizeBytes: number }> {
  const source = await open(copy.from, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw stagingFault('The source cannot be read', error);
  });
  try {
    return await copyFrom(source, copy);
  } catch (error) {
    await rm(copy.to, { force: true });
    throw stagingFault('The copy failed', error);
  } finally {
    await source.close();
  }
}

async function copyFrom(source: FileHandle, copy: FileCopy): Promise<{ readonly sizeBytes: number }> {
  const before = await source.stat({ bigint: true });
  if (!before.isFile()) throw new StagingError('bad_source', 'The source is not a regular file');
  const sizeBytes = Number(before.size);
  if (sizeBytes > (copy.maxBytes ?? Number.POSITIVE_INFINITY)) {
    throw new StagingError('too_large', `The source has ${sizeBytes} bytes, at most ${copy.maxBytes} are accepted`);
  }
  copy.signal?.throwIfAborted();
  const shared = await shareBlocks(copy);
  const target = await open(copy.to, shared ? 'r+' : 'w');
  try {
    if (!shared) await copyPieces(source, target, { ...copy, sizeBytes });
    await target.sync();
    const written = await target.stat();
    const after = await source.stat({ bigint: true });
    if (after.size !== before.size || after.mtimeNs !== before.mtimeNs || written.size !== sizeBytes) {
      throw new StagingError(
        'source_changed',
        'The source was changed while it was read; try again when it is at rest',
      );
    }
  } finally {
    await target.close();
  }
  copy.onBytes?.(sizeBytes, sizeBytes);
  return { sizeBytes };
}

/** True when the file system made a copy that shares its blocks with the source. */
async function shareBlocks(copy: FileCopy): Promise<boolean> {
  try {
    await rm(copy.to, { force: true });
    await copyFile(copy.from, copy.to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  }
}

async function copyPieces(
  source: FileHandle,
  target: FileHandle,
  copy: FileCopy & { readonly sizeBytes: number },
): Promise<void> {
  const piece = Buffer.alloc(PIECE_SIZE);
  for (let offset = 0; offset < copy.sizeBytes;) {
    copy.signal?.throwIfAborted();
    const { bytesRead } = await source.read(piece, 0, Math.min(PIECE_SIZE, copy.sizeBytes - offset), offset);
    if (bytesRead === 0) throw new StagingError('source_changed', 'The source became shorter while it was read');
    await writeSparsely(target, piece.subarray(0, bytesRead), offset);
    offset += bytesRead;
    copy.onBytes?.(offset, copy.sizeBytes);
  }
  await target.truncate(copy.sizeBytes);
}
