import { ImageError } from '@diskmorph/disk-image';

const EXPLANATIONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is exceeded',
  EFBIG: 'the file system does not allow a file this large',
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  EEXIST: 'it exists already',
  EIO: 'the device reports an input/output error',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many files are open',
  EPIPE: 'the reader of the output went away',
};

/** The operating system's error as an `ImageError` of code `io`; other errors stay what they are. */
export function ioError(doing: string, error: unknown): unknown {
  if (error instanceof ImageError || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const why = EXPLANATIONS[code] ?? code;
  return new ImageError('io', `${doing}: ${why}`, { cause: error });
}
