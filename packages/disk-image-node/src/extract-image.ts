import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { WrapperKind } from '@diskmorph/disk-image';
import { ioError } from './io-error.ts';
import { openPlace } from './image-place.ts';
import { spoolSource } from './spool-stream.ts';
import type { UnwrapRequest } from './unwrap-image.ts';
import { containerKind, unwrapImage } from './unwrap-image.ts';
import { flushFile } from './flush-file.ts';

/** The container that the file at `filePath` is, by its first bytes; undefined for images and for anything else. Throws `io`. */
export async function packedAs(filePath: string): Promise<WrapperKind | undefined> {
  const source = await openPlace({ path: filePath });
  try {
    return await containerKind(source);
  } finally {
    await source.close();
  }
}

/**
 * Writes the image that lies in the container into a file of its own, flushed, replacing what is there; what else is
 * unpacked lies beside it meanwhile. Throws as `unwrapImage` does; leaves nothing then.
 */
export async function extractImage(
  containerPath: string,
  targetPath: string,
  request: Omit<UnwrapRequest, 'directory'> = {},
): Promise<{ readonly sizeBytes: number }> {
  await rm(targetPath, { force: true });
  const unwrapped = await unwrapImage(containerPath, { ...request, directory: path.dirname(targetPath) });
  try {
    const { file } = unwrapped;
    const isOwnFile = file.path !== containerPath && file.window === undefined && file.scattered === undefined;
    if (isOwnFile) await rename(file.path, targetPath);
    else await copyPlace(file, targetPath, request.signal);
    return { sizeBytes: await flushed(targetPath) };
  } catch (error) {
    await rm(targetPath, { force: true });
    throw ioError('Cannot write the unpacked image', error);
  } finally {
    await unwrapped.cleanup();
  }
}

async function copyPlace(
  place: Parameters<typeof openPlace>[0],
  targetPath: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = await openPlace(place);
  try {
    // No more than the container itself takes.
    await spoolSource(source, { path: targetPath, take: () => {} }, signal);
  } finally {
    await source.close();
  }
}

async function flushed(filePath: string): Promise<number> {
  const handle = await open(filePath, 'r+');
  try {
    await flushFile(handle.fd);
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}
