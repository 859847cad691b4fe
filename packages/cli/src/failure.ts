import type { ImageErrorCode } from '@diskmorph/disk-image';
import { EXIT, EXIT_BY_ERROR_CODE } from './exit-code.ts';
import { UsageError } from './arguments/command.ts';
import type { Style } from './terminal/style.ts';
import { plainText } from './terminal/text-layout.ts';

/** What went wrong, for people and for programs. Plain data. */
export interface Failure {
  /** An `ImageErrorCode`, `usage`, `internal`, or the code of a failed task. */
  readonly code: string;
  readonly message: string;
  readonly format?: string;
  readonly structure?: string;
  /** Byte offset in the file. */
  readonly offset?: number;
  /** More of what is wrong, a line each. */
  readonly details?: readonly string[];
  readonly advice?: string;
  readonly exitCode: number;
}

/** An error that says itself how it is to be told: for what is neither bad input nor a bug. */
export class ToldError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.name = 'ToldError';
    this.failure = failure;
  }
}

/** The failure that an error stands for. `commandName` is what the advice refers to. */
export function describeFailure(error: unknown, commandName: string | undefined): Failure {
  if (error instanceof ToldError) return error.failure;
  if (error instanceof UsageError) {
    const help = commandName === undefined ? 'diskmorph --help' : `diskmorph ${commandName} --help`;
    return { code: 'usage', message: error.message, advice: `${help} shows what there is`, exitCode: EXIT.usage };
  }
  if (isImageError(error)) return imageFailure(error);
  const systemCode = systemCodeOf(error);
  if (error instanceof Error && systemCode !== '') return systemFailure(error, systemCode);
  const message = error instanceof Error ? error.message : String(error);
  const advice = 'this is a bug of diskmorph, not of the image; DISKMORPH_DEBUG=1 shows where it happened';
  return { code: 'internal', message, advice, exitCode: EXIT.internal };
}

interface ImageErrorFacts extends Error {
  readonly code: ImageErrorCode;
  readonly format?: string;
  readonly structure?: string;
  readonly offset?: number;
}

/** By its shape, not its class: the core is loaded late, and errors also come from other threads. */
function isImageError(error: unknown): error is ImageErrorFacts {
  return error instanceof Error && 'code' in error && Object.hasOwn(EXIT_BY_ERROR_CODE, String(error.code));
}

function imageFailure(error: ImageErrorFacts): Failure {
  const advice = adviceFor(error);
  return {
    code: error.code,
    message: error.message,
    ...(error.format === undefined ? {} : { format: error.format }),
    ...(error.structure === undefined ? {} : { structure: error.structure }),
    ...(error.offset === undefined ? {} : { offset: error.offset }),
    ...(advice === undefined ? {} : { advice }),
    exitCode: EXIT_BY_ERROR_CODE[error.code],
  };
}

const ADVICE: Readonly<Partial<Record<ImageErrorCode, string>>> = {
  wrong_format: '"diskmorph inspect FILE" says what the file is; name its format with -f',
  unsupported: '"diskmorph formats" lists what can be read and written',
  corrupt:
    '"diskmorph inspect FILE" and "diskmorph check FILE" say more; take a fresh copy of the image if there is one',
  truncated: 'the file is shorter than it must be: copy or download it again and compare the sizes',
  unsafe:
    '"diskmorph inspect FILE" lists what is wrong; if you trust the image, --allow-references DIR lets it name files below DIR',
};

const ADVICE_BY_SYSTEM_ERROR: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space or write to another file system',
  EDQUOT: 'free some space or write to another file system',
  EFBIG: 'write to a file system that allows larger files',
  ENOENT: 'check the path',
  EACCES: 'check the permissions of the file and its directory',
  EPERM: 'check the permissions of the file and its directory',
  EIO: 'the device may be failing: look at the system log and copy what can be read',
  EROFS: 'write to another file system',
};

function adviceFor(error: ImageErrorFacts): string | undefined {
  if (error.code === 'out_of_bounds')
    return `"diskmorph formats ${error.format ?? 'FMT'}" lists the options and their values`;
  if (error.code === 'unsupported' && error.format === undefined) return undefined;
  if (error.code !== 'io') return ADVICE[error.code];
  return ADVICE_BY_SYSTEM_ERROR[systemCodeOf(error.cause)];
}

function systemFailure(error: Error, systemCode: string): Failure {
  const advice = ADVICE_BY_SYSTEM_ERROR[systemCode];
  return {
    code: 'io',
    message: error.message,
    ...(advice === undefined ? {} : { advice }),
    exitCode: EXIT_BY_ERROR_CODE.io,
  };
}

/** What `errcode` of a `node:sqlite` error says when the state database finds no space. sqlite3.h, SQLITE_FULL. */
const SQLITE_FULL = 13;

/** `ENOSPC` and the like; empty for errors that are not the operating system's. */
function systemCodeOf(error: unknown): string {
  if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_FULL) return 'ENOSPC';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9]+$/.test(code) ? code : '';
}

/** The failure on a terminal: what is wrong with the code in brackets, where, what to do. Text from files is made plain. */
export function failureText(failure: Failure, style: Style): string {
  const lines = [`${style.red('diskmorph:')} ${plainText(failure.message)} ${style.dim(`[${failure.code}]`)}`];
  for (const detail of failure.details ?? []) lines.push(`  ${plainText(detail)}`);
  const where = placeText(failure);
  if (where !== undefined) lines.push(`  where:      ${plainText(where)}`);
  if (failure.advice !== undefined) lines.push(`  what to do: ${failure.advice}`);
  return `${lines.join('\n')}\n`;
}

function placeText({ format, structure, offset }: Failure): string | undefined {
  const place = offset === undefined ? undefined : `at byte ${offset} (0x${offset.toString(16)})`;
  const parts = [format, structure, place].filter((part) => part !== undefined);
  return structure === undefined && place === undefined ? undefined : parts.join(', ');
}
