import type { DistributedEngineOptions, EnginePace } from './distributed-engine.ts';
import type { ProgressListener } from './engine.ts';
import type { Interruption } from './failure.ts';
import { FlowError, InterruptedError } from './failure.ts';
import type { JobGlimpse } from './job.ts';
import { FINAL_STATES } from './job.ts';
import type { QueueEntry, TakenEntry } from './job-queue.ts';
import { runJob } from './run-job.ts';

/** The jobs that this process has taken. */
export interface TakenJobs {
  has(jobId: string): boolean;
  /** Takes and begins as many as may run here now, as long as more may be taken at all. */
  takeUp(mayTake: () => boolean): Promise<void>;
  /** Says that their holder is alive, and interrupts those that are somebody else's now or were cancelled. */
  keep(): Promise<void>;
  interrupt(jobId: string, interruption: Interruption): void;
  interruptAll(interruption: Interruption): void;
  /** Returns when none runs any more. */
  rest(): Promise<void>;
}

interface TakenJob {
  readonly entry: TakenEntry;
  readonly control: AbortController;
  readonly end: Promise<void>;
}

/** What taking jobs needs beside the engine's options. */
export interface TakingParts {
  readonly pace: EnginePace;
  /** Gets the progress of every job. */
  readonly tell: ProgressListener;
  /** Hears that a job has ended, or was given back. */
  readonly onEnd: () => void;
}

/** The jobs of a process that has none yet. */
export function takenJobs<Transaction>(
  options: DistributedEngineOptions<Transaction>,
  { pace, tell, onEnd }: TakingParts,
): TakenJobs {
  const { journal, queue } = options;
  const running = new Map<string, TakenJob>();
  const begin = (entry: TakenEntry): void => {
    const { jobId } = entry;
    const control = new AbortController();
    const end = run(entry, control)
      .catch((error: unknown) => options.onFault('', error))
      .finally(() => {
        running.delete(jobId);
        onEnd();
      });
    running.set(jobId, { entry, control, end });
  };
  const run = async (entry: TakenEntry, control: AbortController): Promise<void> => {
    const { jobId } = entry;
    try {
      if (await isSentElsewhere(options, entry)) return;
      const host = { ...options, onProgress: (progress: Parameters<ProgressListener>[1]) => tell(jobId, progress) };
      const how = await runJob(host, jobId, control);
      await (how === 'ended' ? queue.done(entry) : queue.putBack(entry, 0));
    } catch (error) {
      options.onFault(jobId, error);
      // Somebody else has it: there is nothing to give back.
      if (error instanceof FlowError && error.code === 'fenced') return;
      await queue.putBack(entry, pace.faultDelayMs / 1000);
    }
  };
  return {
    has: (jobId) => running.has(jobId),
    async takeUp(mayTake) {
      while (mayTake() && running.size < options.maxJobs) {
        const entry = await queue.take();
        if (entry === undefined) return;
        // It was lost to this process, and came back before the process had noticed.
        if (running.has(entry.jobId)) await queue.putBack(entry, pace.keepMs / 1000);
        else if (mayTake()) begin(entry);
        else await queue.putBack(entry, 0);
      }
    },
    async keep() {
      const held = [...running.values()];
      if (held.length === 0) return;
      const kept = new Set(await queue.keep(held.map(({ entry }) => entry)));
      const jobs = await journal.glimpse(held.map(({ entry }) => entry.jobId));
      const cancelled = new Set(jobs.filter((job) => job.cancelRequested).map((job) => job.id));
      for (const { entry, control } of held) {
        if (!kept.has(entry)) control.abort(new InterruptedError('fenced'));
        else if (cancelled.has(entry.jobId)) control.abort(new InterruptedError('cancelled'));
      }
    },
    interrupt: (jobId, interruption) => running.get(jobId)?.control.abort(new InterruptedError(interruption)),
    interruptAll(interruption) {
      for (const { control } of running.values()) control.abort(new InterruptedError(interruption));
    },
    async rest() {
      while (running.size > 0) await Promise.all(Array.from(running.values(), ({ end }) => end));
    },
  };
}

/** True when the job is another machine's: it then lies in that one's queue. Throws `unknown_flow`. */
async function isSentElsewhere<Transaction>(
  { journal, queue, flows, node, bindsToNode }: DistributedEngineOptions<Transaction>,
  entry: TakenEntry,
): Promise<boolean> {
  const [job] = await journal.glimpse([entry.jobId]);
  if (job === undefined || FINAL_STATES.includes(job.state)) return false;
  if (!flows.has(job.flow)) throw new FlowError('unknown_flow', `Job ${job.id} is of the unknown flow ${job.flow}`);
  if (job.node === null && bindsToNode === true) await journal.bindToNode(job.id, node);
  if (job.node === null || job.node === node) return false;
  await queue.put(entryOf(job));
  await queue.done(entry);
  return true;
}

/** The entry of a job as the journal has it. */
export function entryOf({ id, flow, group, node }: JobGlimpse): QueueEntry {
  return { jobId: id, flow, group, node };
}
