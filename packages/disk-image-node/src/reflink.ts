import { statfsSync } from 'node:fs';
import type { FilePlace } from './file-pipe.ts';
import type { ForeignFunctions } from './system-calls.ts';

/** Lets a range of one file be the same blocks on disk as that of another; false where the file system does not. */
export type Reflink = (from: FilePlace, to: FilePlace, length: number) => boolean;

/** ioctl_ficlonerange(2); the few processors that number it otherwise refuse it. */
const FICLONERANGE = 0x4020940dn;

/** Linux's way to share blocks. */
export function reflinks(ffi: ForeignFunctions): Reflink {
  const { functions } = ffi.dlopen('libc.so.6', {
    ioctl: { arguments: ['i32', 'u64', 'buffer'], return: 'i32' },
  });
  /** `struct file_clone_range`: source descriptor, its offset, length, offset in the target. */
  const range = new BigInt64Array(new ArrayBuffer(32));
  const argument = new Uint8Array(range.buffer);
  return (from, to, length) => {
    range.set([BigInt(from.fd), BigInt(from.offset), BigInt(length), BigInt(to.offset)]);
    return functions.ioctl(to.fd, FICLONERANGE, argument) === 0;
  };
}

/** `f_type` of file systems on which files can share blocks, statfs(2): XFS, btrfs, bcachefs, OCFS2, overlayfs, NFS. */
const SHARING_TYPES: ReadonlySet<number> = new Set([
  0x58465342, 0x9123683e, 0xca451a4e, 0x7461636f, 0x794c7630, 0x6969,
]);
/** What NFS calls a block is how much it sends at once. */
const LARGEST_BLOCK = 64 * 1024;

/** Bytes of which a shared range must be a whole multiple, in both files; undefined where `type` is known to share nothing. */
export function reflinkBlock({ type, blockSize }: FileSystemFacts): number | undefined {
  return SHARING_TYPES.has(type) ? Math.min(blockSize, LARGEST_BLOCK) : undefined;
}

/** What a file system says of itself. */
export interface FileSystemFacts {
  /** `f_type` of statfs(2). */
  readonly type: number;
  /** Bytes. */
  readonly blockSize: number;
}

/** Of the file system on which the path lies; undefined when it cannot be asked. */
export function fileSystemOf(path: string): FileSystemFacts | undefined {
  try {
    const { type, bsize } = statfsSync(path);
    return { type, blockSize: bsize };
  } catch {
    return undefined;
  }
}
