import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { ByteSource, HoleFinder } from '@diskmorph/disk-image';
import { ImageError, throwIfAborted } from '@diskmorph/disk-image';
import { blockDeviceSize } from './block-device.ts';
import { ioError } from './io-error.ts';
import type { SystemCalls } from './system-calls.ts';
import { systemCalls } from './system-calls.ts';

/**
 * A file or block device as a source, read with asynchronous calls: for threads that must stay responsive.
 * Throws `io` when it cannot be opened and `unsupported` for what is neither (a pipe, a directory, a terminal).
 */
export async function openFileSource(path: string): Promise<ByteSource> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw ioError(`Cannot open ${path}`, error);
  });
  try {
    const size = sourceSize(path, handle.fd);
    return { size, ...holesOf(handle.fd, size), read: asyncRead(handle, path, size), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function asyncRead(handle: FileHandle, path: string, size: number): ByteSource['read'] {
  return async (offset, into, signal) => {
    throwIfAborted(signal);
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await handle.read(into, done, into.length - done, offset + done).catch((error: unknown) => {
        throw ioError(`Cannot read ${path}`, error);
      });
      if (bytesRead === 0) throw endOfFile(path, size, { start: offset, end: offset + into.length });
      done += bytesRead;
    }
  };
}

/** The same with synchronous calls: for lanes of work that have a thread of their own. */
export function openFileSourceSync(path: string): ByteSource {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw ioError(`Cannot open ${path}`, error);
  }
  try {
    const source: ByteSource = {
      ...syncSource(fd, path),
      readSamples({ offset, stride, length }, into) {
        const file = { fd, path, size: source.size };
        for (let done = 0; done < into.length; done += length) {
          readFully(file, offset + (done / length) * stride, into, { from: done, to: done + length });
        }
      },
      ...readAheadOf(fd, systemCalls()),
      async close() {
        descriptors.delete(source);
        closeSync(fd);
      },
    };
    descriptors.set(source, fd);
    return source;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

const descriptors = new WeakMap<ByteSource, number>();

/** The descriptor of an open source of `openFileSourceSync`, undefined for any other. */
export function descriptorOf(source: ByteSource): number | undefined {
  return descriptors.get(source);
}

/**
 * A file or block device that somebody has opened, as a source with synchronous calls; closing it is left to them. `name` is
 * what errors call it. Throws as `openFileSource`.
 */
export function descriptorSource(fd: number, name: string): ByteSource {
  return { ...syncSource(fd, name), close: async () => {} };
}

function syncSource(fd: number, path: string): Omit<ByteSource, 'close'> {
  const size = sourceSize(path, fd);
  return {
    size,
    ...holesOf(fd, size),
    async read(offset, into, signal) {
      throwIfAborted(signal);
      readFully({ fd, path, size }, offset, into);
    },
  };
}

/** Fills the part of `into`, all of it when absent, with the bytes at `offset`. */
function readFully(
  file: { readonly fd: number; readonly path: string; readonly size: number },
  offset: number,
  into: Uint8Array,
  part: { readonly from: number; readonly to: number } = { from: 0, to: into.length },
): void {
  const { from, to } = part;
  for (let done = from; done < to;) {
    let bytesRead: number;
    try {
      bytesRead = readSync(file.fd, into, done, to - done, offset + (done - from));
    } catch (error) {
      throw ioError(`Cannot read ${file.path}`, error);
    }
    if (bytesRead === 0) throw endOfFile(file.path, file.size, { start: offset, end: offset + (to - from) });
    done += bytesRead;
  }
}

function endOfFile(path: string, size: number, range: { start: number; end: number }): ImageError {
  return new ImageError(
    'truncated',
    `${path} ends at byte ${size}, but bytes ${range.start} to ${range.end} are needed`,
    {
      offset: range.start,
    },
  );
}

function sourceSize(path: string, fd: number): number {
  const stats = fstatSync(fd);
  if (stats.isFile()) return stats.size;
  if (stats.isBlockDevice()) return blockDeviceSize(fd, path);
  throw new ImageError('unsupported', `${path} is neither a file nor a block device`);
}

function holesOf(fd: number, size: number): { readonly holes?: HoleFinder } {
  const holes = holeFinder(fd, size, systemCalls());
  return holes === undefined ? {} : { holes };
}

function readAheadOf(fd: number, { readAhead }: SystemCalls): Pick<ByteSource, 'readAhead' | 'isInMemory'> {
  if (readAhead === undefined) return {};
  return {
    readAhead: (ranges) => readAhead.begin(fd, ranges),
    isInMemory: (offset) => readAhead.isInMemory(fd, offset),
  };
}

/** Finds holes with the system's calls, or undefined where the file system cannot tell. */
export function holeFinder(fd: number, size: number, system: SystemCalls): HoleFinder | undefined {
  if (system.nextData(fd, 0) === null) return undefined;
  return {
    nextData(offset) {
      const found = system.nextData(fd, offset);
      if (found === null) return { start: offset, end: size };
      return found;
    },
  };
}
