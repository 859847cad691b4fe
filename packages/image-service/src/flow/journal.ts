import type { Failure } from './failure.ts';
import type { Claim, JobGlimpse, JobRecord, JobState, NewJob } from './job.ts';
import type { JsonObject } from './json.ts';
import type { JobProgress } from './progress.ts';

/** Which step of a claimed job a write is about. */
export interface StepClaim extends Claim {
  readonly position: number;
}

/**
 * What is kept of jobs. Each write is one transaction, on the disk when it returns; each write with a claim throws
 * `fenced`, and changes nothing, when the claim is no longer the latest.
 */
export interface Journal<Transaction> {
  /** Records a job as `queued`, inside the given transaction if any; a job of that id that exists already stays as it is. */
  submit(job: NewJob, transaction?: Transaction): Promise<void>;
  get(id: string): Promise<JobRecord | undefined>;
  /** The ids of all jobs that are in no final state, oldest first. */
  unfinished(): Promise<readonly string[]>;
  /** How many jobs there are in each state that is not final; states without jobs are absent. */
  countUnfinished(): Promise<Readonly<Partial<Record<JobState, number>>>>;
  /** These jobs, as far as they are there, or all unfinished ones; oldest first. */
  glimpse(which: readonly string[] | 'unfinished'): Promise<readonly JobGlimpse[]>;
  requestCancel(id: string): Promise<void>;
  /** From now on the job can run on this machine only. */
  bindToNode(id: string, node: string): Promise<void>;
  /**
   * Makes sure, until the given transaction ends, that nobody else takes the job; for writes outside of the journal. Throws
   * `fenced` as its own writes do.
   */
  hold(claim: Claim, transaction: Transaction): Promise<void>;
  /** Takes the job: raises its epoch. Undefined when there is none or it is in a final state. */
  claim(id: string): Promise<JobRecord | undefined>;
  setState(claim: Claim, state: JobState): Promise<void>;
  beginStep(step: StepClaim, name: string): Promise<void>;
  finishStep(step: StepClaim, output: JsonObject, warnings: readonly string[]): Promise<void>;
  /** From now on no step is finished: all that have begun are executed again. */
  restart(claim: Claim): Promise<void>;
  /** The step did not fail: it was paused, and this attempt does not count. */
  pauseStep(step: StepClaim): Promise<void>;
  /** Records why the job fails and turns it to `reverting`; `failedPosition` is the step that failed, if one did. */
  fail(claim: Claim, failure: Failure, more: FailDetails): Promise<void>;
  beginRevert(step: StepClaim): Promise<void>;
  /** `failure` when the revert itself failed. */
  finishRevert(step: StepClaim, failure: Failure | undefined): Promise<void>;
  /** Records how far the job is, and tells whether its cancellation was asked for. */
  saveProgress(claim: Claim, progress: JobProgress): Promise<{ readonly cancelRequested: boolean }>;
  /** Forgets jobs in a final state. */
  forget(ids: readonly string[]): Promise<void>;
}

/** More about a failing job. */
export interface FailDetails {
  readonly failedPosition?: number;
  readonly warnings: readonly string[];
}
