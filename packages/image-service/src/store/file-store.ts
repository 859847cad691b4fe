import { constants } from 'node:fs';
import { access, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { blobName, parseBlobName, requireBlobName, requireImageId } from './blob-name.ts';
import type { StoreDirectory } from './file-directories.ts';
import { blobNamesIn, blobPath, byPreference, findBlob, freeBytesOf, possiblePaths } from './file-directories.ts';
import type { CopyFile, RoomLedger } from './file-incoming.ts';
import { bringIn } from './file-incoming.ts';
import { filePieces } from './file-pieces.ts';
import type { BlobContent, BlobRange, ImageStore, KeptLeftovers, TransferOptions } from './store.ts';
import { StoreError } from './store.ts';

/** What a store of files is made of. */
export interface FileStoreOptions {
  readonly id: string;
  /** 0 when absent. */
  readonly weight?: number;
  /** At least one. */
  readonly directories: readonly StoreDirectory[];
  /** New files go into a sub-directory named after the beginning of the image's id, or not. */
  readonly layout?: 'flat' | 'subdirectories';
  /** Bytes that must stay free in each directory. */
  readonly marginBytes?: number;
  /** Marks the unfinished files of this installation: others may share the directories. */
  readonly instanceId: string;
  readonly copy: CopyFile;
  /** Where space in a directory is promised; absent: only what is free now counts. */
  readonly room?: (directory: string) => RoomLedger;
}

/**
 * A store in directories. A blob is the file `<image id>.<epoch>`; it bears that name only when it is whole and on
 * the disk. Where the content lies on the same file system it is linked, not copied.
 */
export function fileStore(options: FileStoreOptions): ImageStore {
  const { id, directories } = options;
  const fault = (doing: string) => (error: unknown) => {
    throw storeFault(id, doing, error);
  };
  const located = (location: string): Promise<string | undefined> => {
    requireBlobName(location);
    return findBlob(directories, location).catch(fault('the image cannot be read'));
  };
  return {
    id,
    type: 'file',
    readOnly: false,
    weight: options.weight ?? 0,
    async put(owner, content, transfer = {}) {
      const name = blobName(owner);
      const sizeBytes = await putSomewhere(options, { name, content, transfer }).catch(
        fault('the image could not be stored'),
      );
      return { location: name, sizeBytes };
    },
    read: (location, range, signal) => {
      requireBlobName(location);
      return readBlob(id, located(location), { range, signal });
    },
    async stat(location) {
      const path = (await located(location)) ?? notHeld(id);
      return { location, sizeBytes: (await stat(path).catch(fault('the image cannot be read'))).size };
    },
    async delete(location) {
      requireBlobName(location);
      for (const path of possiblePaths(directories, location)) {
        await rm(path, { force: true }).catch(fault('the image cannot be removed'));
      }
    },
    async blobsOf(imageId) {
      requireImageId(imageId);
      const names = directories.map(({ path }) => blobNamesIn(path, imageId));
      return [...new Set((await Promise.all(names).catch(fault('its directory cannot be read'))).flat())];
    },
    async discardUnfinished(imageId) {
      requireImageId(imageId);
      await removeUnfinished(options, (unfinished) => unfinished === imageId).catch(fault('residue cannot be removed'));
    },
    async clearLeftovers(kept) {
      try {
        await removeUnfinished(options, (imageId) => kept?.images.includes(imageId) !== true, kept);
        for (const { path } of directories) await options.room?.(path).forgetGone();
      } catch (error) {
        fault('residue cannot be removed')(error);
      }
    },
    async checkReady() {
      const wanted = constants.R_OK | constants.W_OK | constants.X_OK;
      const checks = directories.map(({ path }) => access(path, wanted));
      await Promise.any(checks).catch(({ errors }: AggregateError) => fault('nothing can be written')(errors[0]));
    },
    async freeBytes() {
      const free = directories.map(({ path }) => freeBytesOf(path).catch(fault('its free space cannot be told')));
      return Math.max(0, Math.max(...(await Promise.all(free))) - (options.marginBytes ?? 0));
    },
    async addressOf(location) {
      const found = await located(location);
      return pathToFileURL(found ?? possiblePaths(directories, location)[0] ?? '').href;
    },
    locationAt: () => undefined,
  };
}

interface NamedContent {
  readonly name: string;
  readonly content: BlobContent;
  readonly transfer: TransferOptions;
}

/** The first directory that has room takes it; a stream can be read only once, so that no other is tried after it has begun. */
async function putSomewhere(options: FileStoreOptions, { name, content, transfer }: NamedContent): Promise<number> {
  const { copy, marginBytes = 0, layout = 'flat' } = options;
  let begun = false;
  const once = 'path' in content ? content : { ...content, bytes: watched(content.bytes, () => (begun = true)) };
  let full: unknown;
  for (const { path: directory } of await byPreference(options.directories)) {
    const temporary = join(directory, `${unfinishedPrefix(options)}${name}`);
    const path = blobPath(directory, name, layout);
    try {
      const room = options.room === undefined ? {} : { room: options.room(directory) };
      return await bringIn({ content: once, directory, temporary, path, marginBytes, copy, transfer, ...room });
    } catch (error) {
      if (begun || !isFull(error)) throw error;
      full ??= error;
    }
  }
  throw full;
}

async function* watched(bytes: AsyncIterable<Uint8Array>, onBegin: () => void): AsyncGenerator<Uint8Array> {
  onBegin();
  yield* bytes;
}

function unfinishedPrefix({ instanceId }: FileStoreOptions): string {
  return `.${instanceId}.`;
}

async function removeUnfinished(
  options: FileStoreOptions,
  goes: (imageId: string) => boolean,
  kept: Pick<KeptLeftovers, 'since'> = {},
): Promise<void> {
  const prefix = unfinishedPrefix(options);
  for (const { path: directory } of options.directories) {
    for (const name of await readdir(directory)) {
      const blob = name.startsWith(prefix) ? parseBlobName(name.slice(prefix.length)) : undefined;
      if (blob === undefined || !goes(blob.imageId)) continue;
      const path = join(directory, name);
      if (kept.since !== undefined && (await changedAt(path)) >= kept.since) continue;
      await rm(path, { force: true });
    }
  }
}

/** When the file was last written; never for one that is gone. */
async function changedAt(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

interface Reading {
  readonly range: BlobRange | undefined;
  readonly signal: AbortSignal | undefined;
}

async function* readBlob(
  id: string,
  finding: Promise<string | undefined>,
  { range, signal }: Reading,
): AsyncGenerator<Uint8Array> {
  const path = (await finding) ?? notHeld(id);
  try {
    signal?.throwIfAborted();
    const file = await open(path);
    const { size } = await file.stat();
    const start = range?.offset ?? 0;
    const end = range === undefined ? size : Math.min(size, start + range.length);
    if (start >= end) return await file.close();
    let expected = end - start;
    for await (const chunk of filePieces(file, { offset: start, length: end - start, signal })) {
      expected -= chunk.length;
      yield chunk;
    }
    if (expected !== 0) throw new StoreError('io', `Store "${id}": the image ends ${expected} bytes too early`);
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : storeFault(id, 'the image cannot be read', error);
  }
}

function notHeld(id: string): never {
  throw new StoreError('missing', `Store "${id}" does not hold it`);
}

const FULL_CODES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'insufficient_space', 'full']);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Is the error's meaning that there is no room? The copy that is given has words of its own for it. */
function isFull(error: unknown): boolean {
  return FULL_CODES.has(codeOf(error));
}

function storeFault(id: string, doing: string, error: unknown): unknown {
  if (error instanceof StoreError) {
    return error.code === 'full' ? new StoreError('full', `Store "${id}": ${doing}: ${error.message}`, error) : error;
  }
  const code = codeOf(error);
  if (code === 'ENOENT' && doing.endsWith('read')) {
    return new StoreError('missing', `Store "${id}" does not hold it`, error);
  }
  if (isFull(error)) return new StoreError('full', `Store "${id}": ${doing}: the disk is full`, error);
  const known = /^E[A-Z0-9]+$/.test(code);
  return known ? new StoreError('io', `Store "${id}": ${doing} (${code})`, error) : error;
}
