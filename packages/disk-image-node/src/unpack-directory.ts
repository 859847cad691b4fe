import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ImageError } from '@diskmorph/disk-image';
import { ioError } from './io-error.ts';

/** A directory for what is unpacked, made when the first file is asked for. */
export interface UnpackDirectory {
  /** The path of a new file. Throws `io`. */
  newFile(): Promise<string>;
  /** Says that so many bytes are about to be written. Throws `io` when they are too many for the file system. */
  take(bytes: number): void;
  /** True when a file was asked for. */
  isUsed(): boolean;
  /** Removes the directory with all that is in it; missing means done. */
  remove(): Promise<void>;
}

/** What unpacking leaves to others of the space that is free when it begins. */
const SHARE_OF_FREE_SPACE = 0.9;

/**
 * A new directory below `parent`. It is also removed when the process ends by itself, or is ended by `process.exit`, before
 * `remove` is called; a process that is killed leaves it.
 */
export function temporaryUnpackDirectory(parent: string): UnpackDirectory {
  return unpackDirectory(parent, async () => {
    const made = await mkdtemp(path.join(parent, '.diskmorph-unpack-'));
    const removeNow = (): void => rmSync(made, { recursive: true, force: true });
    process.on('exit', removeNow);
    return { made, forget: () => process.off('exit', removeNow) };
  });
}

/** The directory at `made`, which must not be there; it stays when the process ends. */
export function lastingUnpackDirectory(made: string): UnpackDirectory {
  return unpackDirectory(made, async () => {
    await mkdir(made, { recursive: true });
    return { made, forget: () => {} };
  });
}

interface MadeDirectory {
  readonly made: string;
  /** Called when the directory is gone. */
  readonly forget: () => void;
}

function unpackDirectory(shown: string, make: () => Promise<MadeDirectory>): UnpackDirectory {
  let directory: MadeDirectory | undefined;
  let left = 0;
  let count = 0;
  return {
    async newFile() {
      try {
        directory ??= await make();
        if (count === 0) left = await spaceFor(directory.made);
      } catch (error) {
        throw ioError(`Cannot unpack in ${shown}`, error);
      }
      return path.join(directory.made, `unpacked-${++count}`);
    },
    take(bytes) {
      left -= bytes;
      if (left < 0) throw tooLarge(shown);
    },
    isUsed: () => directory !== undefined,
    async remove() {
      if (directory === undefined) return;
      await rm(directory.made, { recursive: true, force: true });
      directory.forget();
    },
  };
}

async function spaceFor(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor(bavail * bsize * SHARE_OF_FREE_SPACE);
}

function tooLarge(directory: string): ImageError {
  const percent = Math.round(SHARE_OF_FREE_SPACE * 100);
  const cause = Object.assign(new Error('too little free space'), { code: 'ENOSPC' });
  return new ImageError(
    'io',
    `Cannot unpack in ${directory}: it would take over ${percent}% of the space that is free`,
    {
      cause,
    },
  );
}
