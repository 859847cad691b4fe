import type { Failure } from './failure.ts';
import type { JsonObject } from './json.ts';
import type { JobProgress } from './progress.ts';

/** Every state of a job. The last three are final. */
export const JOB_STATES = ['queued', 'running', 'reverting', 'concluding', 'succeeded', 'failed', 'cancelled'] as const;
/** The state of a job. `concluding`: every step is done, or undone; the end is not yet recorded outside. */
export type JobState = (typeof JOB_STATES)[number];
/** The states in which nothing more will happen. */
export const FINAL_STATES: readonly JobState[] = ['succeeded', 'failed', 'cancelled'];

/** Every state of a step that has begun. */
export const STEP_STATES = ['running', 'finished', 'failed', 'reverting', 'reverted', 'revert_failed'] as const;
/** The state of a step that has begun. */
export type StepState = (typeof STEP_STATES)[number];

/** One step as the journal has it. */
export interface StepRecord {
  readonly position: number;
  readonly name: string;
  readonly state: StepState;
  /** How often it has begun. */
  readonly attempts: number;
  readonly revertAttempts: number;
  readonly output: JsonObject | null;
  readonly failure: Failure | null;
  readonly revertFailure: Failure | null;
}

/** One job as the journal has it. Times in milliseconds since 1970. */
export interface JobRecord {
  readonly id: string;
  readonly flow: string;
  readonly input: JsonObject;
  readonly group: string | null;
  readonly node: string | null;
  readonly state: JobState;
  readonly epoch: number;
  readonly cancelRequested: boolean;
  /** Why the job is being, or was, reverted. */
  readonly failure: Failure | null;
  readonly warnings: readonly string[];
  readonly progress: JobProgress | null;
  /** Those that have begun, in order. */
  readonly steps: readonly StepRecord[];
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly endedAt: number | null;
}

/** What is needed to submit a job. */
export interface NewJob {
  readonly id: string;
  /** The name of its flow. */
  readonly flow: string;
  readonly input: JsonObject;
  /** Jobs of one group run only so many at a time. */
  readonly group?: string;
  /** The only machine that it can run on. */
  readonly node?: string;
}

/** What can be seen of a job at a glance. */
export type JobGlimpse = Pick<
  JobRecord,
  'id' | 'flow' | 'group' | 'node' | 'state' | 'epoch' | 'cancelRequested' | 'progress'
>;

/** The right to write about a job: valid until somebody else claims it. */
export interface Claim {
  readonly jobId: string;
  readonly epoch: number;
}
