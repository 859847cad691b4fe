/**
 * What goes wrong with bytes that are not an image yet. `bad_id`, `bad_source`: refused before anything is touched.
 * `too_large`: more bytes than are accepted. `insufficient_space`: the disk has not the room. `source_changed`: the source was
 * written while it was read. `stalled`: no byte came for too long. `cut_off`: not as many bytes came as were announced.
 * `blocked_address`: the address may not be asked. `download_failed`: the other side refused or failed. `io`: the operating system failed; `cause` keeps its error.
 */
export type StagingErrorCode =
  | 'bad_id'
  | 'bad_source'
  | 'too_large'
  | 'insufficient_space'
  | 'source_changed'
  | 'stalled'
  | 'cut_off'
  | 'blocked_address'
  | 'download_failed'
  | 'io';

/** A refusal or failure of staging; the message is fit for users and names no path. */
export class StagingError extends Error {
  readonly code: StagingErrorCode;

  /** The code of the answer, where the other side answered with an error. */
  readonly answer: number | undefined;

  constructor(code: StagingErrorCode, message: string, cause?: unknown, answer?: number) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StagingError';
    this.code = code;
    this.answer = answer;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EIO: 'the device reports an input/output error',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a directory',
};

/** The operating system's error in words without paths; `insufficient_space` when the disk is full. */
export function stagingFault(doing: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof StagingError || !/^E[A-Z0-9]+$/.test(code)) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StagingError('insufficient_space', `${doing}: the disk is full`, error);
  return new StagingError('io', `${doing}: ${REASONS[code] ?? code}`, error);
}
