import type { ImageErrorCode } from '@diskmorph/disk-image';

/** How a run ended, for the shell. The one table; documented in `docs/cli.md`. */
export const EXIT = {
  ok: 0,
  /** The answer is no: the images differ. */
  different: 1,
  /** Looked at, and bad: unsafe to use, or corrupt. */
  bad: 2,
  /** Looked at, and not perfect: warnings, or leaked space. */
  imperfect: 3,
  /** An import ended without an active image. */
  taskFailed: 4,
  /** The command line makes no sense. */
  usage: 64,
  /** Another process is at work on the same state, or the work was paused: try again. */
  busy: 75,
  /** The configuration of the service cannot be used. */
  configuration: 78,
  /** A bug of diskmorph, or a broken installation. */
  internal: 70,
} as const;

/** The exit code of an error of the core; `aborted` only where no signal says more. */
export const EXIT_BY_ERROR_CODE: Readonly<Record<ImageErrorCode, number>> = {
  wrong_format: 10,
  unsupported: 11,
  corrupt: 12,
  truncated: 13,
  unsafe: 14,
  out_of_bounds: 15,
  io: 16,
  aborted: 17,
};

/** The shell's convention for a program that a signal ended: 128 and the signal's number. */
export const EXIT_BY_SIGNAL: Readonly<Record<CancelSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** The signals that cancel the work at hand. */
export type CancelSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM';
