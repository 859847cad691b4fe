import type { JobRecord, NewJob } from './job.ts';
import type { JobProgress } from './progress.ts';

/**
 * Runs jobs so that they survive anything: the port. `Transaction` is the database's, so that a job is submitted
 * together with the records that speak of it, or not at all.
 */
export interface Engine<Transaction> {
  /** Records the job, inside `transaction` if given; a started engine takes it up. Harmless when repeated. */
  submit(job: NewJob, transaction?: Transaction): Promise<void>;
  /** Takes up unfinished jobs, as this engine may. Throws `locked` when only one process can and another one does. */
  start(): Promise<void>;
  /** Pauses what runs and lets others take it. Jobs go on there, or at the next start. */
  stop(): Promise<void>;
  /**
   * Takes no more jobs and returns when those that run have ended, or when the signal fires; `stop` then pauses or hands
   * over what still runs.
   */
  finish(signal?: AbortSignal): Promise<void>;
  /** Asks for the end of a job: it is reverted. Without effect on one past its point of no return. */
  cancel(id: string): Promise<void>;
  /**
   * The job, once it is in a final state or the engine has stopped. Throws `unknown_job`, or the fault of the
   * surroundings that keeps the job from going on.
   */
  wait(id: string): Promise<JobRecord>;
  /** Calls `listener` at every report of a running step, until the returned function is called. */
  onProgress(listener: ProgressListener): () => void;
}

/** Gets the progress of every running job. */
export type ProgressListener = (jobId: string, progress: JobProgress) => void;
