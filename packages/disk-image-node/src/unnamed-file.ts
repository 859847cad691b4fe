import { constants, ftruncateSync, readSync, writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import type { PlacedRun, ReadableRunSpool, ReadableSink } from '@diskmorph/disk-image';
import { ImageError, PACKED_RUN_NUMBERS, packRun, unpackRuns } from '@diskmorph/disk-image';
import { ioError } from './io-error.ts';
import { nodeCodecs } from './native-codecs.ts';

/** open(2), O_TMPFILE: the value that x86-64 and arm64 have, which Node does not name. */
const WITHOUT_NAME = 0o20000000;

/**
 * A new file in the directory that has no name: it goes with its handle, also when the process is killed. Where the file
 * system wants a name (NFS, and all but Linux) it has this one for a moment.
 */
export async function openUnnamedFile(directory: string, name: string): Promise<FileHandle> {
  if (process.platform === 'linux') {
    const flags = constants.O_RDWR | constants.O_DIRECTORY | WITHOUT_NAME;
    const unnamed = await open(directory, flags, 0o600).catch(() => undefined);
    if (unnamed !== undefined) return unnamed;
  }
  const place = path.join(directory, name);
  const file = await open(place, 'wx+', 0o600);
  await rm(place, { force: true });
  return file;
}

/** Pieces in which zeros are looked for. */
const PIECE_SIZE = 64 * 1024;

/**
 * The file behind a descriptor, empty or of `size` bytes, for synchronous work in a thread of its own. What is zeros and was
 * never written takes no space. Closing it is left to whoever opened it.
 */
export function descriptorFile(fd: number, size = 0): ReadableSink {
  const { isZero } = nodeCodecs();
  let length = size;
  let written = size;
  const put = (offset: number, bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
    written = Math.max(written, offset + bytes.length);
  };
  return {
    get size() {
      return length;
    },
    async write(offset, bytes) {
      attempt(() => {
        for (let at = 0; at < bytes.length; at += PIECE_SIZE) {
          const piece = bytes.subarray(at, at + PIECE_SIZE);
          if (offset + at < written || !isZero(piece)) put(offset + at, piece);
        }
        length = Math.max(length, offset + bytes.length);
      });
    },
    async zero(offset, bytes) {
      const end = Math.min(offset + bytes, written);
      attempt(() => {
        for (let at = offset; at < end; at += PIECE_SIZE) put(at, new Uint8Array(Math.min(PIECE_SIZE, end - at)));
        length = Math.max(length, offset + bytes);
      });
    },
    async truncate(newSize) {
      attempt(() => ftruncateSync(fd, newSize));
      length = newSize;
      written = Math.min(written, newSize);
    },
    async read(offset, into) {
      if (offset + into.length > length) throw new ImageError('truncated', `The tables end at byte ${length}`);
      attempt(() => {
        for (let done = 0; done < into.length;) {
          const count = readSync(fd, into, done, into.length - done, offset + done);
          if (count === 0) return into.fill(0, done);
          done += count;
        }
        return into;
      });
    },
    async flush() {},
    async close() {},
  };
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError('Cannot use the tables of an image that is not written', error);
  }
}

const RUN_BYTES = PACKED_RUN_NUMBERS * Float64Array.BYTES_PER_ELEMENT;
/** Runs that are written, and read, together. */
const BATCH_RUNS = 4096;

/** Runs in the file behind a descriptor, which holds `count` of them; memory does not grow with them. */
export function descriptorRuns(fd: number, count = 0): ReadableRunSpool {
  const batch = new Float64Array(BATCH_RUNS * PACKED_RUN_NUMBERS);
  let stored = count;
  let waiting = 0;
  const spill = (): void => {
    const bytes = new Uint8Array(batch.buffer, 0, waiting * RUN_BYTES);
    attempt(() => {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, stored * RUN_BYTES + done);
      }
    });
    stored += waiting;
    waiting = 0;
  };
  const readAt = async (first: number, wanted: number): Promise<readonly PlacedRun[]> => {
    if (waiting > 0) spill();
    const numbers = new Float64Array(wanted * PACKED_RUN_NUMBERS);
    const bytes = new Uint8Array(numbers.buffer);
    for (let done = 0; done < bytes.length;) {
      const read = attempt(() => readSync(fd, bytes, done, bytes.length - done, first * RUN_BYTES + done));
      if (read === 0) throw new ImageError('io', 'The list of stored units was cut while it was in use');
      done += read;
    }
    return unpackRuns(numbers, wanted);
  };
  return {
    append(runs) {
      for (const run of runs) {
        if (waiting === BATCH_RUNS) spill();
        packRun(batch, waiting++, run);
      }
    },
    get count() {
      return stored + waiting;
    },
    async flush() {
      if (waiting > 0) spill();
    },
    async *read() {
      const end = stored + waiting;
      for (let first = 0; first < end; first += BATCH_RUNS) yield readAt(first, Math.min(BATCH_RUNS, end - first));
    },
    readAt,
  };
}
