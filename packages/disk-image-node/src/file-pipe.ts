import type { ForeignFunctions } from './system-calls.ts';

/** Brings bytes from file to file without showing them to the process. */
export interface FilePipe {
  /**
   * Copies `length` bytes from one place to the other; returns how many it has copied, fewer where either file ends, is
   * full, fails or cannot be copied so. Holds nothing afterwards.
   */
  copy(from: FilePlace, to: FilePlace, length: number): number;
  close(): void;
}

/** A byte offset in an open file. */
export interface FilePlace {
  readonly fd: number;
  readonly offset: number;
}

/** What a pipe takes at most unless a privileged process asks for more, pipe(7). */
const PIPE_SIZE = 2 ** 20;
const F_SETPIPE_SZ = 1031;
const O_CLOEXEC = 0o2000000;
const OFFSET_SIZE = 8n;

/** Linux's `splice` through a pipe of one's own: pages of the first file's cache are copied once, into the second's. */
export function filePipes(ffi: ForeignFunctions): () => FilePipe | undefined {
  const { functions } = ffi.dlopen('libc.so.6', {
    pipe2: { arguments: ['buffer', 'i32'], return: 'i32' },
    fcntl: { arguments: ['i32', 'i32', 'i64'], return: 'i32' },
    close: { arguments: ['i32'], return: 'i32' },
    splice: { arguments: ['i32', 'pointer', 'i32', 'pointer', 'u64', 'u32'], return: 'i64' },
  });
  return () => {
    const ends = new Int32Array(2);
    if (functions.pipe2(new Uint8Array(ends.buffer), O_CLOEXEC) !== 0) return undefined;
    const [readEnd = -1, writeEnd = -1] = ends;
    functions.fcntl(writeEnd, F_SETPIPE_SZ, BigInt(PIPE_SIZE));
    const offsets = new BigInt64Array(new ArrayBuffer(2 * Number(OFFSET_SIZE)));
    const fromOffset = ffi.getRawPointer(new Uint8Array(offsets.buffer));
    const toOffset = fromOffset + OFFSET_SIZE;
    let isOpen = true;
    const close = (): void => {
      if (isOpen) for (const end of ends) functions.close(end);
      isOpen = false;
    };
    /** Brings `length` bytes that are in the pipe into the file. */
    const empty = (fd: number, length: number): number => {
      let done = 0;
      while (done < length) {
        const written = Number(functions.splice(readEnd, 0n, fd, toOffset, BigInt(length - done), 0));
        if (written <= 0) break;
        done += written;
      }
      return done;
    };
    return {
      copy(from, to, length) {
        offsets[0] = BigInt(from.offset);
        offsets[1] = BigInt(to.offset);
        let done = 0;
        while (isOpen && done < length) {
          const taken = Number(functions.splice(from.fd, fromOffset, writeEnd, 0n, BigInt(length - done), 0));
          if (taken <= 0) break;
          const written = empty(to.fd, taken);
          done += written;
          // What is left in the pipe belongs nowhere any more.
          if (written < taken) close();
        }
        return done;
      },
      close,
    };
  };
}
