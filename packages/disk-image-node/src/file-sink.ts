import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { ByteSink } from '@diskmorph/disk-image';
import { alignDown } from '@diskmorph/disk-image';
import { blockDeviceSize } from './block-device.ts';
import { deviceSink } from './device-sink.ts';
import type { FilePipe } from './file-pipe.ts';
import { descriptorOf } from './file-source.ts';
import { ioError } from './io-error.ts';
import type { FileSystemFacts } from './reflink.ts';
import { fileSystemOf, reflinkBlock } from './reflink.ts';
import type { SystemCalls } from './system-calls.ts';
import { systemCalls } from './system-calls.ts';
import { flushFile } from './flush-file.ts';

const ZERO_PIECE = new Uint8Array(65536);
const OWNER_AND_OTHERS_READ = 0o644;
/** `f_type` of ext2, ext3 and ext4, statfs(2). */
const EXT4_MAGIC = 0xef53;

/**
 * The file at `path` as a sink, created when it is not there, kept as it is when it is. Writes are synchronous, a
 * flush is not. `shownName` stands for the path in messages.
 */
export function openFileSink(path: string, shownName: string, system: SystemCalls = systemCalls()): ByteSink {
  const attempt = <T>(doing: string, action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw ioError(`Cannot ${doing} ${shownName}`, error);
    }
  };
  const fd = attempt('create', () => openSync(path, constants.O_RDWR | constants.O_CREAT, OWNER_AND_OTHERS_READ));
  const write = (offset: number, bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  };
  const pipe = copyingPipe(fd, system);
  const fileSystem = fileSystemOf(path);
  const own = fstatSync(fd).isBlockDevice()
    ? deviceSink({
        size: blockDeviceSize(fd, path),
        write: (offset, bytes) => attempt('write', () => write(offset, bytes)),
        zero: (offset, length) => system.punchHole(fd, offset, length),
      })
    : {
        ...reservingSink(fileSystem, (offset, length) => system.reserve(fd, offset, length)),
        ...sharingSink(fileSystem, fd, system),
        ...pipe?.sink,
      };
  return {
    async write(offset, bytes) {
      attempt('write', () => write(offset, bytes));
    },
    async zero(offset, length) {
      attempt('write', () => zeroRange({ fd, system, write }, offset, length));
    },
    async truncate(size) {
      attempt('resize', () => ftruncateSync(fd, size));
    },
    async flush() {
      await flushFile(fd).catch((error: unknown) => {
        throw ioError(`Cannot flush ${shownName}`, error);
      });
    },
    async close() {
      pipe?.close();
      closeSync(fd);
    },
    ...own,
  };
}

/**
 * ext4 does much of a write's work for each block, unless the blocks are taken before. Other file systems have not been
 * measured, and some would fill what they take with zeros.
 */
function reservingSink(
  fileSystem: FileSystemFacts | undefined,
  take: (offset: number, length: number) => void,
): Pick<ByteSink, 'reserve'> {
  return fileSystem?.type === EXT4_MAGIC ? { reserve: take } : {};
}

/** Shares blocks with open files until the file system refuses for the first time: it would refuse again. */
function sharingSink(
  fileSystem: FileSystemFacts | undefined,
  fd: number,
  { reflink }: SystemCalls,
): Pick<ByteSink, 'reflinkFrom'> {
  const block = fileSystem === undefined ? undefined : reflinkBlock(fileSystem);
  if (block === undefined || reflink === undefined) return {};
  let isRefused = false;
  return {
    reflinkFrom(source, { offset, length }, to) {
      const from = descriptorOf(source);
      const whole = alignDown(length, block);
      const isAligned = offset % block === 0 && to % block === 0;
      if (isRefused || from === undefined || whole === 0 || !isAligned) return 0;
      isRefused = !reflink({ fd: from, offset }, { fd, offset: to }, whole);
      return isRefused ? 0 : whole;
    },
  };
}

/** Takes bytes from open files through a pipe that is made when it is first needed; undefined without pipes. */
function copyingPipe(fd: number, { openFilePipe }: SystemCalls): CopyingPipe | undefined {
  if (openFilePipe === undefined) return undefined;
  let pipe: FilePipe | undefined | 'none yet' = 'none yet';
  return {
    sink: {
      copyFrom(source, { offset, length }, to) {
        const from = descriptorOf(source);
        if (from === undefined) return 0;
        if (pipe === 'none yet') pipe = openFilePipe();
        return pipe?.copy({ fd: from, offset }, { fd, offset: to }, length) ?? 0;
      },
    },
    close() {
      if (pipe !== 'none yet') pipe?.close();
    },
  };
}

interface CopyingPipe {
  readonly sink: Pick<ByteSink, 'copyFrom'>;
  close(): void;
}

/** The sink without its flush: when the bytes reach the disk is left to the operating system. */
export function cachedSink(sink: ByteSink): ByteSink {
  return { ...sink, flush: async () => {} };
}

interface ZeroTarget {
  readonly fd: number;
  readonly system: SystemCalls;
  readonly write: (offset: number, bytes: Uint8Array) => void;
}

function zeroRange(target: ZeroTarget, offset: number, length: number): void {
  const end = offset + length;
  const size = fstatSync(target.fd).size;
  const inside = Math.min(end, size);
  if (inside > offset && !target.system.punchHole(target.fd, offset, inside - offset)) {
    for (let at = offset; at < inside; at += ZERO_PIECE.length) {
      target.write(at, ZERO_PIECE.subarray(0, Math.min(ZERO_PIECE.length, inside - at)));
    }
  }
  if (end > size) ftruncateSync(target.fd, end);
}
