import { createRequire } from 'node:module';
import os from 'node:os';
import type { FilePipe } from './file-pipe.ts';
import { filePipes } from './file-pipe.ts';
import type { ReadAhead } from './read-ahead.ts';
import { readAheads } from './read-ahead.ts';
import type { Reflink } from './reflink.ts';
import { reflinks } from './reflink.ts';

/** System calls that Node has no function for. Each works on an open file descriptor; offsets and lengths in bytes. */
export interface SystemCalls {
  /** The first data range at or after `offset`, undefined when only a hole follows, null when the file system cannot tell. */
  nextData(fd: number, offset: number): { readonly start: number; readonly end: number } | undefined | null;
  /** Makes the range a hole; false when the file system cannot. */
  punchHole(fd: number, offset: number, length: number): boolean;
  /** Takes space for the range without writing it: it keeps its bytes, or is zeros; false when the file system cannot. */
  reserve(fd: number, offset: number, length: number): boolean;
  /** Makes a way for bytes from file to file, undefined where none can be made; absent where the system has none. */
  readonly openFilePipe?: () => FilePipe | undefined;
  /** Brings ranges into memory that will soon be read; absent where the system cannot be asked to. */
  readonly readAhead?: ReadAhead;
  /** Lets files share blocks on disk; absent where the system knows no such thing. */
  readonly reflink?: Reflink;
  /** Brings what was written to stable storage, while the thread waits. Throws the system's error, `ENOSYS` without one. */
  flush(fd: number): void;
}

/** What is there without a way to call the system: nothing is known about holes, none can be made. */
export const plainSystemCalls: SystemCalls = {
  nextData: () => null,
  punchHole: () => false,
  reserve: () => false,
  flush: () => {
    throw systemError('fsync', os.constants.errno.ENOSYS);
  },
};

function systemError(call: string, errno: number): Error {
  const [code = 'EIO'] = Object.entries(os.constants.errno).find(([, number]) => number === errno) ?? [];
  return Object.assign(new Error(`${code}: ${call}`), { code, errno: -errno, syscall: call });
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const ENXIO = 6;

let loaded: SystemCalls | undefined;

/** The system's own calls where they can be reached (Linux with `node:ffi`), else `plainSystemCalls`. */
export function systemCalls(): SystemCalls {
  loaded ??= process.platform === 'linux' ? (linuxSystemCalls() ?? plainSystemCalls) : plainSystemCalls;
  return loaded;
}

/** Node's way to call C functions. */
export type ForeignFunctions = typeof import('node:ffi');

/** `node:ffi`, loaded without its warning, or undefined where this Node does not have it. */
export function loadForeignFunctions(): ForeignFunctions | undefined {
  const emitWarning = process.emitWarning;
  try {
    process.emitWarning = () => {};
    return createRequire(import.meta.url)('node:ffi') as ForeignFunctions;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

function linuxSystemCalls(): SystemCalls | undefined {
  const ffi = loadForeignFunctions();
  if (ffi === undefined) return undefined;
  try {
    const { functions } = ffi.dlopen('libc.so.6', {
      lseek: { arguments: ['i32', 'i64', 'i32'], return: 'i64' },
      fallocate: { arguments: ['i32', 'i32', 'i64', 'i64'], return: 'i32' },
      fsync: { arguments: ['i32'], return: 'i32' },
      __errno_location: { arguments: [], return: 'pointer' },
    });
    const seek = (fd: number, offset: number, whence: number): number =>
      Number(functions.lseek(fd, BigInt(offset), whence));
    return {
      nextData(fd, offset) {
        const start = seek(fd, offset, SEEK_DATA);
        if (start < 0) return ffi.getInt32(functions.__errno_location()) === ENXIO ? undefined : null;
        const end = seek(fd, start, SEEK_HOLE);
        return end > start ? { start, end } : null;
      },
      punchHole: (fd, offset, length) =>
        functions.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BigInt(offset), BigInt(length)) === 0,
      reserve: (fd, offset, length) => functions.fallocate(fd, 0, BigInt(offset), BigInt(length)) === 0,
      openFilePipe: filePipes(ffi),
      readAhead: readAheads(ffi),
      reflink: reflinks(ffi),
      flush(fd) {
        if (functions.fsync(fd) !== 0) throw systemError('fsync', ffi.getInt32(functions.__errno_location()));
      },
    };
  } catch {
    return undefined;
  }
}
