import type { JsonObject } from './json.ts';

/** Why something failed, as it is kept: a stable code and a message that is fit for users. */
export type Failure = JsonObject & {
  readonly code: string;
  readonly message: string;
  /** The step in which it happened. */
  readonly step?: string;
};

/** Turns what a step threw into what is kept of it. Must not throw. */
export type DescribeFailure = (error: unknown) => Failure;

/** What the engine itself refuses or finds. */
export type FlowErrorCode = 'locked' | 'fenced' | 'unknown_job' | 'unknown_flow';

/** A fault of the engine's own, never of a step. */
export class FlowError extends Error {
  readonly code: FlowErrorCode;

  constructor(code: FlowErrorCode, message: string) {
    super(message);
    this.name = 'FlowError';
    this.code = code;
  }
}

/** Why a step's signal fired. `stop`: the engine pauses. `cancelled`, `stalled`: the job fails. `fenced`: the job is somebody else's now. */
export type Interruption = 'stop' | 'cancelled' | 'stalled' | 'fenced';

/** The reason of an aborted signal. */
export class InterruptedError extends Error {
  readonly interruption: Interruption;

  constructor(interruption: Interruption) {
    super(INTERRUPTION_MESSAGES[interruption]);
    this.name = 'InterruptedError';
    this.interruption = interruption;
  }
}

const INTERRUPTION_MESSAGES: Readonly<Record<Interruption, string>> = {
  stop: 'The engine is stopping',
  cancelled: 'The task was cancelled',
  stalled: 'Nothing moved for longer than the no-progress timeout allows',
  fenced: 'The job was taken over by another engine',
};

/** A step crashed its process each time it was tried. */
export const INTERRUPTED_TOO_OFTEN = 'interrupted_too_often';
