import { createReadStream } from 'node:fs';
import { link, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobContent, BlobOwner, BlobRange, ImageStore, StoredBlob, TransferOptions } from './store.ts';
import { StoreError } from './store.ts';

/** Copies a file and flushes the copy; given, because copying well is known elsewhere. */
export type CopyFile = (
  copy: { readonly from: string; readonly to: string } & TransferOptions,
) => Promise<{ readonly sizeBytes: number }>;

/** What a store of files is made of. */
export interface FileStoreOptions {
  readonly id: string;
  readonly directory: string;
  /** Marks the unfinished files of this installation: others may share the directory. */
  readonly instanceId: string;
  readonly copy: CopyFile;
}

const LOCATION = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,15})$/;

/**
 * A store in one directory. A blob is the file `<image id>.<epoch>`; it bears that name only when it is whole and on
 * the disk. Where the content lies on the same file system it is linked, not copied.
 */
export function fileStore(options: FileStoreOptions): ImageStore {
  const { id, directory } = options;
  const unfinished = `.${options.instanceId}.`;
  const fault = (doing: string) => (error: unknown) => {
    throw storeFault(id, doing, error);
  };
  return {
    id,
    async put(owner, content, transfer = {}) {
      const location = locationOf(owner);
      const temporary = join(directory, `${unfinished}${location}`);
      try {
        await rm(temporary, { force: true });
        await bringIn(options, { content, temporary, transfer });
        return await commit(directory, { temporary, location, sizeBytes: content.sizeBytes });
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {});
        throw storeFault(id, 'the image could not be stored', error);
      }
    },
    read: (location, range) => readBlob(id, join(directory, checkedLocation(location)), range),
    async delete(location) {
      await rm(join(directory, checkedLocation(location)), { force: true }).catch(fault('the image cannot be removed'));
    },
    async blobsOf(imageId) {
      const names = await readdir(directory).catch(fault('its directory cannot be read'));
      return names.filter((name) => LOCATION.exec(name)?.[1] === imageId);
    },
    async clearLeftovers() {
      const names = await readdir(directory).catch(fault('its directory cannot be read'));
      for (const name of names.filter((each) => each.startsWith(unfinished))) {
        await rm(join(directory, name), { force: true }).catch(fault('residue cannot be removed'));
      }
    },
  };
}

function locationOf(owner: BlobOwner): string {
  return checkedLocation(`${owner.imageId}.${owner.epoch}`);
}

/** Throws `missing` for a name that this store never gives: it must not lead out of the directory. */
function checkedLocation(location: string): string {
  if (LOCATION.test(location)) return location;
  throw new StoreError('missing', `${JSON.stringify(location.slice(0, 100))} is no place in this store`);
}

interface Incoming {
  readonly content: BlobContent;
  readonly temporary: string;
  readonly transfer: TransferOptions;
}

async function bringIn(options: FileStoreOptions, { content, temporary, transfer }: Incoming): Promise<void> {
  if (await linked(content.path, temporary)) return;
  await options.copy({ from: content.path, to: temporary, ...transfer });
}

/** Links the file when it can be and is not stored by a link already: two stores share no bytes. */
async function linked(path: string, temporary: string): Promise<boolean> {
  try {
    if ((await stat(path)).nlink !== 1) return false;
    await link(path, temporary);
    return true;
  } catch {
    return false;
  }
}

interface Unfinished {
  readonly temporary: string;
  readonly location: string;
  readonly sizeBytes: number;
}

async function commit(directory: string, blob: Unfinished): Promise<StoredBlob> {
  const { temporary, location, sizeBytes } = blob;
  const file = await open(temporary, 'r+');
  try {
    await file.sync();
    const { size } = await file.stat();
    if (size !== sizeBytes) throw new StoreError('io', `${size} bytes arrived in the store instead of ${sizeBytes}`);
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, location));
  await syncDirectory(directory);
  return { location, sizeBytes };
}

/** Makes a rename in the directory survive a power cut. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function* readBlob(id: string, path: string, range: BlobRange | undefined): AsyncGenerator<Uint8Array> {
  if (range?.length === 0) return;
  const bounds = range === undefined ? {} : { start: range.offset, end: range.offset + range.length - 1 };
  try {
    yield* createReadStream(path, { ...bounds, highWaterMark: 256 * 1024 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw storeFault(id, 'the image cannot be read', error);
  }
}

function storeFault(id: string, doing: string, error: unknown): unknown {
  if (error instanceof StoreError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' && doing.endsWith('read'))
    return new StoreError('missing', `Store "${id}" does not hold it`, error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'no_space') {
    return new StoreError('io', `Store "${id}": ${doing}: the disk is full`, error);
  }
  const known = /^E[A-Z0-9]+$/.test(code);
  return known ? new StoreError('io', `Store "${id}": ${doing} (${code})`, error) : error;
}
