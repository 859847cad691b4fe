import { ImageError } from '@diskmorph/disk-image';

/** Why a run ends without success: what it says on standard error, and its exit code. */
export class Failure extends Error {
  /** Each is printed behind the program's name. */
  readonly lines: readonly string[];
  readonly exitCode: number;

  constructor(lines: string | readonly string[], exitCode: number = 1) {
    super(typeof lines === 'string' ? lines : lines.join('\n'));
    this.name = 'Failure';
    this.lines = typeof lines === 'string' ? [lines] : lines;
    this.exitCode = exitCode;
  }
}

/** A wrong command line: the message, and where to find help. */
export function usageFailure(message: string): Failure {
  return new Failure(`${message}\nTry 'qemu-img --help' for more information`);
}

/** The same failure with another exit code. */
export function withExitCode(error: unknown, exitCode: number): Failure {
  if (error instanceof Failure) return new Failure(error.lines, exitCode);
  return new Failure(reasonOf(error), exitCode);
}

/** Callers look for the C library's words for these. */
const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  ENOSPC: 'No space left on device',
  EDQUOT: 'Disk quota exceeded',
  EFBIG: 'File too large',
  EEXIST: 'File exists',
  EIO: 'Input/output error',
  EROFS: 'Read-only file system',
  EMFILE: 'Too many open files',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  EBUSY: 'Device or resource busy',
  ETXTBSY: 'Text file busy',
  ENXIO: 'No such device or address',
  ENOMEM: 'Cannot allocate memory',
  EAGAIN: 'Resource temporarily unavailable',
};

/** The system's error behind an error, in the C library's words; undefined when there is none. */
export function systemWords(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== undefined && SYSTEM_WORDS[code] !== undefined) return SYSTEM_WORDS[code];
  return error.cause === undefined ? undefined : systemWords(error.cause);
}

/** What went wrong, in one sentence. Errors that are no fault of the input are rethrown. */
export function reasonOf(error: unknown): string {
  if (error instanceof Failure) return error.lines.join('\n');
  const words = systemWords(error);
  if (error instanceof ImageError) return words === undefined ? error.message : `${error.message} (${words})`;
  if (words !== undefined) return words;
  throw error;
}

/** An image that cannot be opened. `shownName` is the name as the caller gave it. */
export function couldNotOpen(shownName: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const words = systemWords(error);
  const isFileItself = error instanceof ImageError && error.code === 'io' && error.structure === undefined;
  if (words !== undefined && (isFileItself || !(error instanceof ImageError))) {
    return new Failure(`Could not open '${shownName}': Could not open '${shownName}': ${words}`);
  }
  return new Failure(`Could not open '${shownName}': ${reasonOf(error)}`);
}
