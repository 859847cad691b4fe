import { link, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory, writeSparsely } from '../files/written-file.ts';
import { untilAborted } from './byte-stream.ts';
import { ensureParent, freeBytesOf } from './file-directories.ts';
import type { BlobContent, BlobFile, BlobStream, TransferOptions } from './store.ts';
import { StoreError } from './store.ts';

/** Copies a file and flushes the copy; given, because copying well is known elsewhere. */
export type CopyFile = (
  copy: { readonly from: string; readonly to: string } & TransferOptions,
) => Promise<{ readonly sizeBytes: number }>;

/** Promises of space in a directory: so many bytes more for an owner, instead of what it was promised before. */
export interface RoomLedger {
  /** Throws when the disk has no room for them beside all other promises; the message has the figures. */
  reserve(owner: string, bytes: number): Promise<void>;
  release(owner: string): Promise<void>;
  /** Removes what processes that are no more have been promised. */
  forgetGone(): Promise<void>;
}

/** Bytes on their way into a directory. */
export interface Incoming {
  readonly content: BlobContent;
  readonly directory: string;
  /** Where they grow. */
  readonly temporary: string;
  /** Where they are when they are whole. */
  readonly path: string;
  readonly marginBytes: number;
  /** Where space is promised; absent: only what is free now counts. */
  readonly room?: RoomLedger;
  readonly copy: CopyFile;
  readonly transfer: TransferOptions;
}

/** Room for a stream whose length nobody knows is made sure of so many bytes at once. */
const STEP_BYTES = 256 * 1024 * 1024;
/** After so many bytes a flush begins beside the writing. */
const FLUSHED_BYTES = 64 * 1024 * 1024;

/**
 * Brings the bytes to `path`, whole and flushed; gives their number. Throws `full` when they have no room, before the
 * first is read where their number is known. Nothing is left at `temporary` when it fails.
 */
export async function bringIn(incoming: Incoming): Promise<number> {
  const { content, temporary } = incoming;
  try {
    incoming.transfer.signal?.throwIfAborted();
    await rm(temporary, { force: true });
    const written = 'path' in content ? await bringFile(incoming, content) : await bringStream(incoming, content);
    const expected = content.sizeBytes ?? written;
    await commit(incoming, expected);
    return expected;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  } finally {
    await incoming.room?.release(temporary);
  }
}

async function bringFile(incoming: Incoming, content: BlobFile): Promise<number> {
  const { temporary, transfer } = incoming;
  if (await linked(content.path, temporary)) return content.sizeBytes;
  await requireRoom(incoming, content.sizeBytes);
  return (await incoming.copy({ from: content.path, to: temporary, ...transfer })).sizeBytes;
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

async function requireRoom({ directory, marginBytes, room, temporary }: Incoming, sizeBytes: number): Promise<void> {
  if (room !== undefined) {
    await room.reserve(temporary, sizeBytes).catch((error: unknown) => {
      const isRefused = error instanceof Error && 'code' in error && error.code === 'insufficient_space';
      throw isRefused ? new StoreError('full', error.message, error) : error;
    });
    return;
  }
  const free = (await freeBytesOf(directory)) - marginBytes;
  if (sizeBytes <= free) return;
  throw new StoreError('full', `${sizeBytes} bytes are to be stored, but only ${Math.max(0, free)} are free for them`);
}

async function bringStream(incoming: Incoming, content: BlobStream): Promise<number> {
  await requireRoom(incoming, content.sizeBytes ?? 0);
  const { signal, onBytes } = incoming.transfer;
  const most = content.sizeBytes ?? Number.MAX_SAFE_INTEGER;
  const file = await open(incoming.temporary, 'wx', 0o600);
  try {
    const flushing = flushAlongside(file);
    let done = 0;
    let promised = content.sizeBytes ?? 0;
    for await (const chunk of untilAborted(content.bytes, signal)) {
      if (done + chunk.length > promised && content.sizeBytes === undefined) {
        promised = done + Math.max(STEP_BYTES, chunk.length);
        await requireRoom(incoming, promised - done);
      }
      if (done + chunk.length > most) throw new StoreError('io', `More than the announced ${most} bytes arrived`);
      await writeSparsely(file, chunk, done);
      flushing.wrote(chunk.length);
      done += chunk.length;
      onBytes?.(done, content.sizeBytes ?? done);
    }
    await file.truncate(done);
    await flushing.end();
    return done;
  } finally {
    await file.close();
  }
}

interface AlongsideFlush {
  wrote(bytes: number): void;
  /** Waits for the flush under way. Throws what a flush threw. */
  end(): Promise<void>;
}

/** Brings to the disk what was written while more comes, so that little is left to wait for at the end. */
function flushAlongside(file: FileHandle): AlongsideFlush {
  let unflushed = 0;
  let flush: Promise<void> | undefined;
  let failure: unknown;
  return {
    wrote(bytes) {
      unflushed += bytes;
      if (unflushed < FLUSHED_BYTES || flush !== undefined) return;
      unflushed = 0;
      flush = file
        .datasync()
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => {
          flush = undefined;
        });
    },
    async end() {
      await flush;
      if (failure !== undefined) throw failure;
    },
  };
}

async function commit({ temporary, directory, path }: Incoming, sizeBytes: number): Promise<void> {
  const file = await open(temporary, 'r+');
  try {
    await file.sync();
    const { size } = await file.stat();
    if (size !== sizeBytes) throw new StoreError('io', `${size} bytes arrived in the store instead of ${sizeBytes}`);
  } finally {
    await file.close();
  }
  await ensureParent(directory, path);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
