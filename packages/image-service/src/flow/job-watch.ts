import type { ProgressListener } from './engine.ts';
import { FlowError } from './failure.ts';
import type { JobGlimpse, JobRecord } from './job.ts';
import { FINAL_STATES } from './job.ts';
import type { Journal } from './journal.ts';

/** Watches jobs that run in any process, for those who wait for them or listen to them. */
export interface JobWatch {
  /** As `Engine.wait`, once the watch looks. */
  wait(id: string): Promise<JobRecord>;
  /** As `Engine.onProgress`. */
  onProgress(listener: ProgressListener): () => void;
  /** Tells the progress of a job that runs here. */
  readonly tell: ProgressListener;
  /** One look at all jobs that somebody waits for or listens to. */
  look(): Promise<void>;
  /** Nobody will look any more: whoever waits gets the job as it is. */
  settleAll(): Promise<void>;
}

interface Waiter {
  readonly resolve: (job: JobRecord) => void;
  readonly reject: (error: unknown) => void;
}

/** A watch over the journal; `runsHere` tells which jobs tell their progress themselves. */
export function jobWatch<Transaction>(journal: Journal<Transaction>, runsHere: (id: string) => boolean): JobWatch {
  const waiters = new Map<string, Waiter[]>();
  const listeners = new Set<ProgressListener>();
  const lastTold = new Map<string, string>();
  const tell: ProgressListener = (jobId, progress) => {
    for (const listener of listeners) listener(jobId, progress);
  };
  const tellProgress = ({ id, progress }: JobGlimpse): void => {
    const text = JSON.stringify(progress);
    if (progress === null || runsHere(id) || lastTold.get(id) === text) return;
    lastTold.set(id, text);
    tell(id, progress);
  };
  const settle = async (id: string): Promise<void> => {
    const job = await journal.get(id);
    const settled = waiters.get(id) ?? [];
    waiters.delete(id);
    lastTold.delete(id);
    for (const { resolve, reject } of settled) {
      if (job === undefined) reject(unknownJob(id));
      else resolve(job);
    }
  };
  return {
    tell,
    wait: (id) =>
      new Promise<JobRecord>((resolve, reject) => {
        waiters.set(id, [...(waiters.get(id) ?? []), { resolve, reject }]);
      }),
    onProgress(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async look() {
      if (listeners.size > 0) for (const job of await journal.glimpse('unfinished')) tellProgress(job);
      const waited = [...waiters.keys()];
      const jobs = new Map((await journal.glimpse(waited)).map((job) => [job.id, job]));
      for (const id of waited) {
        const job = jobs.get(id);
        if (job === undefined || FINAL_STATES.includes(job.state)) await settle(id);
      }
    },
    async settleAll() {
      for (const id of waiters.keys()) {
        await settle(id).catch((error: unknown) => {
          for (const waiter of waiters.get(id) ?? []) waiter.reject(error);
          waiters.delete(id);
        });
      }
    },
  };
}

/** What is said of a job that is not there. */
export function unknownJob(id: string): FlowError {
  return new FlowError('unknown_job', `There is no job ${id}`);
}
