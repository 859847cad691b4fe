import type { EngineOptions } from './engine-options.ts';
import type { Engine, ProgressListener } from './engine.ts';
import type { Interruption } from './failure.ts';
import { FlowError, InterruptedError } from './failure.ts';
import type { JobGlimpse, JobRecord, NewJob } from './job.ts';
import { FINAL_STATES } from './job.ts';
import type { JobQueue, TakenEntry } from './job-queue.ts';
import { runJob } from './run-job.ts';

/** What the engine of several processes is made of. Times in milliseconds. */
export interface DistributedEngineOptions<Transaction> extends EngineOptions<Transaction> {
  readonly queue: JobQueue<Transaction>;
  /** `runs jobs`: this process takes jobs; else it submits, cancels and watches those of others. */
  readonly role: 'runs jobs' | 'only submits';
  /** This machine, as jobs name it. */
  readonly node: string;
  /** A job that was begun on a machine goes on only there, because what it has made so far lies there. */
  readonly bindsToNode?: true;
  readonly pace?: Partial<EnginePace>;
}

/** How often an engine looks around. Milliseconds. */
export interface EnginePace {
  /** Between two looks into the queue. */
  readonly takeMs: number;
  /** Between two signs of life. */
  readonly keepMs: number;
  /** Between two looks at jobs that somebody waits for or listens to. */
  readonly watchMs: number;
  /** Between two looks for jobs that the queue has lost. */
  readonly sweepMs: number;
  /** Before a job is taken up again that met a fault of its surroundings. */
  readonly faultDelayMs: number;
}

const PACE: EnginePace = { takeMs: 1000, keepMs: 2000, watchMs: 500, sweepMs: 60_000, faultDelayMs: 5000 };
/** Two sweeps this far apart must find the job: the first may have come between journal and queue. */
const SWEEPS_BEFORE_LOST = 2;

interface RunningJob {
  readonly entry: TakenEntry;
  readonly control: AbortController;
  readonly end: Promise<void>;
}

interface Waiter {
  readonly resolve: (job: JobRecord) => void;
  readonly reject: (error: unknown) => void;
}

/** The engine of any number of processes on one database: the queue hands jobs out, epochs keep former holders from writing. */
export function distributedEngine<Transaction>(options: DistributedEngineOptions<Transaction>): Engine<Transaction> {
  const { journal, queue } = options;
  const pace = { ...PACE, ...options.pace };
  const running = new Map<string, RunningJob>();
  const waiters = new Map<string, Waiter[]>();
  const listeners = new Set<ProgressListener>();
  const lastProgress = new Map<string, string>();
  const suspects = new Map<string, number>();
  const fault = (error: unknown): void => options.onFault('', error);
  let opened: Promise<void> | undefined;
  let loops: Loop[] = [];
  let draining = false;

  const tell: ProgressListener = (jobId, progress) => {
    for (const listener of listeners) listener(jobId, progress);
  };
  const begin = (entry: TakenEntry): void => {
    const control = new AbortController();
    const end = run(entry, control)
      .catch(fault)
      .finally(() => {
        running.delete(entry.jobId);
        takeLoop?.wake();
        watchLoop?.wake();
      });
    running.set(entry.jobId, { entry, control, end });
  };
  const run = async (entry: TakenEntry, control: AbortController): Promise<void> => {
    const { jobId } = entry;
    try {
      if (await sentElsewhere(entry)) return;
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
  /** True when the job is another machine's: it then lies in that one's queue. */
  const sentElsewhere = async (entry: TakenEntry): Promise<boolean> => {
    const [job] = await journal.glimpse([entry.jobId]);
    if (job === undefined || FINAL_STATES.includes(job.state)) return false;
    if (!options.flows.has(job.flow)) {
      throw new FlowError('unknown_flow', `Job ${job.id} is of the unknown flow ${job.flow}`);
    }
    if (job.node === null && options.bindsToNode === true) await journal.bindToNode(job.id, options.node);
    if (job.node === null || job.node === options.node) return false;
    await queue.put(entryOf(job));
    await queue.done(entry);
    return true;
  };
  const take = async (): Promise<void> => {
    while (!draining && running.size < options.maxJobs) {
      const entry = await queue.take();
      if (entry === undefined) return;
      // It was lost to this process and came back before the process had noticed.
      if (running.has(entry.jobId)) await queue.putBack(entry, pace.keepMs / 1000);
      else begin(entry);
    }
  };
  const keep = async (): Promise<void> => {
    const held = [...running.values()];
    if (held.length === 0) return;
    const kept = new Set(await queue.keep(held.map(({ entry }) => entry)));
    const glimpses = new Map((await journal.glimpse(held.map(({ entry }) => entry.jobId))).map((job) => [job.id, job]));
    for (const job of held) {
      const glimpse = glimpses.get(job.entry.jobId);
      if (!kept.has(job.entry) && running.get(job.entry.jobId) === job) interrupt(job, 'fenced');
      else if (glimpse?.cancelRequested === true) interrupt(job, 'cancelled');
    }
  };
  const watch = async (): Promise<void> => {
    if (waiters.size === 0 && listeners.size === 0) return;
    const waited = [...waiters.keys()];
    const seen = await journal.glimpse(waited);
    const others = listeners.size === 0 ? [] : await journal.glimpse('unfinished');
    for (const job of others) tellProgress(job);
    const known = new Map(seen.map((job) => [job.id, job]));
    for (const id of waited) {
      const job = known.get(id);
      if (job === undefined || FINAL_STATES.includes(job.state)) await settle(id);
    }
  };
  const tellProgress = ({ id, progress }: JobGlimpse): void => {
    const text = JSON.stringify(progress);
    if (progress === null || running.has(id) || lastProgress.get(id) === text) return;
    lastProgress.set(id, text);
    tell(id, progress);
  };
  const settle = async (id: string): Promise<void> => {
    const job = await journal.get(id);
    const settled = waiters.get(id) ?? [];
    waiters.delete(id);
    lastProgress.delete(id);
    for (const { resolve, reject } of settled) {
      if (job === undefined) reject(unknownJob(id));
      else resolve(job);
    }
  };
  /** What is in the journal and not in the queue is put there: a queue may be restored from an older copy, or emptied. */
  const sweep = async (): Promise<void> => {
    const jobs = new Map((await journal.glimpse('unfinished')).map((job) => [job.id, job]));
    const missing = new Set(await queue.missing([...jobs.keys()]));
    for (const id of suspects.keys()) if (!missing.has(id)) suspects.delete(id);
    for (const id of missing) {
      const job = jobs.get(id);
      const times = (suspects.get(id) ?? 0) + 1;
      suspects.set(id, times);
      if (job !== undefined && times >= SWEEPS_BEFORE_LOST) await queue.put(entryOf(job));
    }
  };
  const interrupt = (job: RunningJob, interruption: Interruption): void =>
    job.control.abort(new InterruptedError(interruption));
  const open = (): Promise<void> => {
    opened ??= queue.open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  let takeLoop: Loop | undefined;
  let watchLoop: Loop | undefined;
  const startLoops = (): void => {
    watchLoop = loop(watch, pace.watchMs, fault);
    loops = [watchLoop];
    if (options.role !== 'runs jobs') return;
    takeLoop = loop(take, pace.takeMs, fault);
    loops = [watchLoop, takeLoop, loop(keep, pace.keepMs, fault), loop(sweep, pace.sweepMs, fault)];
  };
  const settleAll = async (): Promise<void> => {
    for (const id of waiters.keys()) {
      await settle(id).catch((error: unknown) => {
        for (const waiter of waiters.get(id) ?? []) waiter.reject(error);
        waiters.delete(id);
      });
    }
  };
  const rest = async (): Promise<void> => {
    while (running.size > 0) await Promise.all(Array.from(running.values(), (job) => job.end));
  };

  return {
    async submit(job, transaction) {
      await open();
      await journal.submit(job, transaction);
      await queue.put(newEntry(job), transaction);
      takeLoop?.wake();
    },
    async start() {
      await open();
      draining = false;
      if (loops.length === 0) startLoops();
    },
    async stop() {
      draining = true;
      for (const job of running.values()) interrupt(job, 'stop');
      await rest();
      await Promise.all(loops.splice(0).map((each) => each.end()));
      await settleAll();
      if (opened !== undefined) await queue.close();
      opened = undefined;
    },
    async finish(signal) {
      draining = true;
      const aborted = new Promise<void>((resolve) => {
        if (signal?.aborted === true) resolve();
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
      await Promise.race([rest(), aborted]);
    },
    async cancel(id) {
      await journal.requestCancel(id);
      const job = running.get(id);
      if (job !== undefined) interrupt(job, 'cancelled');
    },
    async wait(id) {
      if (loops.length === 0) {
        const job = await journal.get(id);
        if (job === undefined) throw unknownJob(id);
        return job;
      }
      // The watch asks, again and again: a database that is away for a moment ends no wait.
      return new Promise<JobRecord>((resolve, reject) => {
        waiters.set(id, [...(waiters.get(id) ?? []), { resolve, reject }]);
        watchLoop?.wake();
      });
    },
    onProgress(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function newEntry({ id, flow, group, node }: NewJob): Parameters<JobQueue<never>['put']>[0] {
  return { jobId: id, flow, group: group ?? null, node: node ?? null };
}

function entryOf({ id, flow, group, node }: JobGlimpse): Parameters<JobQueue<never>['put']>[0] {
  return { jobId: id, flow, group, node };
}

function unknownJob(id: string): FlowError {
  return new FlowError('unknown_job', `There is no job ${id}`);
}

interface Loop {
  /** Lets the next round begin at once. */
  wake(): void;
  /** Returns when the round under way has ended; there is none after it. */
  end(): Promise<void>;
}

/** Does `work` again and again, `pauseMs` after it ended; what it throws is told and does not end it. */
function loop(work: () => Promise<void>, pauseMs: number, onFault: (error: unknown) => void): Loop {
  let ended = false;
  let woken = false;
  let wake = (): void => {};
  const rounds = async (): Promise<void> => {
    while (!ended) {
      woken = false;
      await work().catch(onFault);
      if (ended || woken) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const running = rounds();
  const wakeUp = (): void => {
    woken = true;
    wake();
  };
  return {
    wake: wakeUp,
    end: () => {
      ended = true;
      wakeUp();
      return running;
    },
  };
}
