import { aborted } from './aborted.ts';
import type { EngineOptions } from './engine-options.ts';
import type { Engine, ProgressListener } from './engine.ts';
import type { Interruption } from './failure.ts';
import { FlowError, InterruptedError } from './failure.ts';
import type { JobGlimpse, JobRecord } from './job.ts';
import { FINAL_STATES } from './job.ts';
import type { EngineLock } from './lock.ts';
import type { RunEnd, RunHost } from './run-job.ts';
import { runJob } from './run-job.ts';

/** What the embedded engine is made of. */
export interface EmbeddedEngineOptions<Transaction> extends EngineOptions<Transaction> {
  /** Throws `locked` when another process has it. */
  readonly acquireLock: () => EngineLock;
  /** Runs under the lock before any job does, with the ids of the unfinished ones: the time to clear away residue. */
  readonly beforeResume: (unfinished: readonly string[]) => Promise<void>;
}

interface RunningJob {
  readonly group: string | null;
  readonly control: AbortController;
  readonly end: Promise<unknown>;
}

interface Waiter {
  readonly resolve: (job: JobRecord) => void;
  readonly reject: (error: unknown) => void;
}

/** The engine inside this process: the journal is its queue, a lock file makes sure that it is the only one. */
export function embeddedEngine<Transaction>(options: EmbeddedEngineOptions<Transaction>): Engine<Transaction> {
  const { journal } = options;
  const running = new Map<string, RunningJob>();
  const faults = new Map<string, unknown>();
  const waiters = new Map<string, Waiter[]>();
  const listeners = new Set<ProgressListener>();
  let lock: EngineLock | undefined;
  let stopping = false;

  const hostOf = (jobId: string): RunHost => ({
    ...options,
    journal,
    onProgress: (progress) => {
      for (const listener of listeners) listener(jobId, progress);
    },
  });
  const begin = ({ id: jobId, group }: JobGlimpse): void => {
    const control = new AbortController();
    const end = runJob(hostOf(jobId), jobId, control)
      .then(
        (how: RunEnd) => settled(jobId, how),
        (error: unknown) => failed(jobId, error),
      )
      .catch((error: unknown) => options.onFault(jobId, error));
    running.set(jobId, { group, control, end });
  };
  const settled = async (jobId: string, how: RunEnd): Promise<void> => {
    running.delete(jobId);
    const job = await journal.get(jobId);
    for (const waiter of waiters.get(jobId) ?? []) if (job !== undefined) waiter.resolve(job);
    waiters.delete(jobId);
    if (how === 'ended') await takeUp();
  };
  const failed = async (jobId: string, error: unknown): Promise<void> => {
    running.delete(jobId);
    faults.set(jobId, error);
    options.onFault(jobId, error);
    for (const waiter of waiters.get(jobId) ?? []) waiter.reject(error);
    waiters.delete(jobId);
    await takeUp();
  };
  /** Begins as many waiting jobs as may run. Asking the journal also waits for a transaction that submits one. */
  const takeUp = async (): Promise<void> => {
    for (const job of await journal.glimpse('unfinished')) {
      if (lock === undefined || stopping || running.size >= options.maxJobs) return;
      if (!running.has(job.id) && !faults.has(job.id) && !isFull(job.group)) begin(job);
    }
  };
  const isFull = (group: string | null): boolean => {
    if (group === null || options.maxJobsPerGroup === undefined) return false;
    return [...running.values()].filter((job) => job.group === group).length >= options.maxJobsPerGroup;
  };
  const interrupt = (job: RunningJob, interruption: Interruption): void =>
    job.control.abort(new InterruptedError(interruption));

  return {
    async submit(job, transaction) {
      await journal.submit(job, transaction);
      if (lock !== undefined) takeUp().catch((error: unknown) => options.onFault(job.id, error));
    },
    async start() {
      if (lock !== undefined) return;
      const acquired = options.acquireLock();
      try {
        await options.beforeResume(await journal.unfinished());
      } catch (error) {
        acquired.release();
        throw error;
      }
      lock = acquired;
      stopping = false;
      faults.clear();
      await takeUp();
    },
    async stop() {
      stopping = true;
      for (const job of running.values()) interrupt(job, 'stop');
      while (running.size > 0) await Promise.all(Array.from(running.values(), (job) => job.end));
      for (const jobId of waiters.keys()) await settled(jobId, 'paused');
      lock?.release();
      lock = undefined;
    },
    async finish(signal) {
      stopping = true;
      const ended = Promise.all(Array.from(running.values(), (job) => job.end));
      await Promise.race([ended, aborted(signal)]);
    },
    async cancel(id) {
      await journal.requestCancel(id);
      const job = running.get(id);
      if (job !== undefined) interrupt(job, 'cancelled');
    },
    async wait(id) {
      // Before it is looked at: it may end while the journal answers.
      const waiter = Promise.withResolvers<JobRecord>();
      waiter.promise.catch(() => {});
      waiters.set(id, [...(waiters.get(id) ?? []), waiter]);
      const job = await journal.get(id);
      const ended = job === undefined || FINAL_STATES.includes(job.state) || lock === undefined;
      if (!ended && !faults.has(id)) return waiter.promise;
      waiters.set(
        id,
        (waiters.get(id) ?? []).filter((other) => other !== waiter),
      );
      if (job === undefined) throw new FlowError('unknown_job', `There is no job ${id}`);
      if (ended) return job;
      throw faults.get(id);
    },
    onProgress(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
