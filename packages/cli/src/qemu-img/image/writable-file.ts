import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { WritableImageFile } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import { openFileSink } from '@diskmorph/disk-image-node';
import { couldNotOpen } from '../failure.ts';

/** Opens a file for changes in place, calls `change` and closes it. `shownName` stands for it in messages. */
export async function withWritableFile<T>(
  path: string,
  shownName: string,
  change: (file: WritableImageFile) => Promise<T>,
): Promise<T> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR);
  } catch (error) {
    throw couldNotOpen(shownName, error);
  }
  try {
    const sink = openFileSink(path, shownName);
    try {
      return await change({ source: liveSource(fd, sink.deviceSize), sink });
    } finally {
      await sink.close();
    }
  } finally {
    closeSync(fd);
  }
}

function liveSource(fd: number, deviceSize: number | undefined): WritableImageFile['source'] {
  return {
    get size() {
      return deviceSize ?? fstatSync(fd).size;
    },
    async read(offset, into) {
      for (let done = 0; done < into.length;) {
        const count = readSync(fd, into, done, into.length - done, offset + done);
        if (count === 0) throw new ImageError('truncated', `The file ends before byte ${offset + into.length}`);
        done += count;
      }
    },
    async close() {},
  };
}
