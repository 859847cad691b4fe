import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from '../files/written-file.ts';
import type { CopyKey } from './cached-name.ts';

/** A copy that is being made. What fails is logged once, and the rest of the bytes are not kept. */
export interface CopyFill {
  readonly key: CopyKey;
  readonly sizeBytes: number;
  write(piece: Uint8Array): Promise<void>;
  /** Gives the copy its name, durably, if it is whole and has the digest of its key. */
  finish(digest: () => Promise<string>): Promise<void>;
  /** Nobody wants the copy any more; it will not get its name. */
  abandon(): void;
  /** Removes what has no name. Harmless after `finish`. */
  drop(): Promise<void>;
}

/** What a copy is made of. */
export interface FillOptions {
  /** Where it lies until it is whole; on the same disk as `path`. */
  readonly directory: string;
  /** Where it lies then. */
  readonly path: string;
  readonly key: CopyKey;
  readonly sizeBytes: number;
  readonly log: (message: string) => void;
}

/** Begins a copy; its file is made with the first bytes. */
export function beginFill({ directory, path, key, sizeBytes, log }: FillOptions): CopyFill {
  const temporary = join(directory, `${basename(path)}.${randomUUID()}`);
  let file: FileHandle | undefined;
  let written = 0;
  let given = false;
  const giveUp = (why: unknown): void => {
    if (!given) log(`image ${key.imageId} is not cached: ${String(why)}`);
    given = true;
  };
  const close = async (): Promise<void> => {
    const opened = file;
    file = undefined;
    await opened?.close().catch(() => {});
  };
  return {
    key,
    sizeBytes,
    async write(piece) {
      if (given) return;
      try {
        file ??= await open(temporary, 'wx', 0o600);
        for (let done = 0; done < piece.length;) {
          done += (await file.write(piece, done, piece.length - done, written + done)).bytesWritten;
        }
        written += piece.length;
      } catch (error) {
        giveUp(error);
      }
    },
    async finish(digest) {
      if (given || file === undefined) return;
      try {
        const found = await digest();
        if (written !== sizeBytes) throw new Error(`${written} bytes came instead of ${sizeBytes}`);
        if (found !== key.digest) throw new Error('its data has another digest than its record says');
        await file.sync();
        await close();
        if (given) return;
        await rename(temporary, path);
        await syncDirectory(dirname(path));
        if (given) await rm(path, { force: true });
      } catch (error) {
        giveUp(error);
      }
    },
    abandon() {
      given = true;
    },
    async drop() {
      await close();
      await rm(temporary, { force: true }).catch(() => {});
    },
  };
}
