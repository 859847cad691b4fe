import { aborted } from './aborted.ts';
import type { EngineOptions } from './engine-options.ts';
import type { Engine } from './engine.ts';
import type { JobQueue } from './job-queue.ts';
import type { JobWatch } from './job-watch.ts';
import { jobWatch, unknownJob } from './job-watch.ts';
import type { RepeatedWork } from './repeated-work.ts';
import { repeatWork } from './repeated-work.ts';
import type { TakenJobs } from './taken-jobs.ts';
import { entryOf, takenJobs } from './taken-jobs.ts';

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

/** The engine of any number of processes on one database: the queue hands jobs out, epochs keep former holders from writing. */
export function distributedEngine<Transaction>(options: DistributedEngineOptions<Transaction>): Engine<Transaction> {
  const { journal, queue, role } = options;
  const pace = { ...PACE, ...options.pace };
  const fault = (error: unknown): void => options.onFault('', error);
  const lookNow = (): void => {
    for (const loop of loops?.eager ?? []) loop.wake();
  };
  const watch: JobWatch = jobWatch(journal, (id) => taken.has(id));
  const taken: TakenJobs = takenJobs(options, { pace, tell: watch.tell, onEnd: lookNow });
  let opened: Promise<void> | undefined;
  /** `eager`: those that look at once when something has happened. */
  let loops: { readonly eager: readonly RepeatedWork[]; readonly steady: readonly RepeatedWork[] } | undefined;
  let draining = false;
  const open = (): Promise<void> => {
    opened ??= queue.open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  const startLoops = (): typeof loops => {
    const watching = repeatWork(watch.look, pace.watchMs, fault);
    if (role !== 'runs jobs') return { eager: [watching], steady: [] };
    const taking = repeatWork(() => taken.takeUp(() => !draining), pace.takeMs, fault);
    const keeping = repeatWork(taken.keep, pace.keepMs, fault);
    const sweeping = repeatWork(queueSweep(options), pace.sweepMs, fault);
    return { eager: [watching, taking], steady: [keeping, sweeping] };
  };
  return {
    async submit(job, transaction) {
      await open();
      await journal.submit(job, transaction);
      const { id: jobId, flow, group = null, node = null } = job;
      await queue.put({ jobId, flow, group, node }, transaction);
      lookNow();
    },
    async start() {
      await open();
      draining = false;
      loops ??= startLoops();
    },
    async stop() {
      draining = true;
      taken.interruptAll('stop');
      await taken.rest();
      const ending = [...(loops?.eager ?? []), ...(loops?.steady ?? [])];
      loops = undefined;
      await Promise.all(ending.map((loop) => loop.end()));
      await watch.settleAll();
      if (opened !== undefined) await queue.close();
      opened = undefined;
    },
    async finish(signal) {
      draining = true;
      await Promise.race([taken.rest(), aborted(signal)]);
    },
    async cancel(id) {
      await journal.requestCancel(id);
      taken.interrupt(id, 'cancelled');
    },
    async wait(id) {
      if (loops !== undefined) {
        // The watch asks, again and again: a database that is away for a moment ends no wait.
        const ended = watch.wait(id);
        lookNow();
        return ended;
      }
      const job = await journal.get(id);
      if (job === undefined) throw unknownJob(id);
      return job;
    },
    onProgress: watch.onProgress,
  };
}

/** Puts what is in the journal and not in the queue there: a queue may be restored from an older copy, or emptied. */
function queueSweep<Transaction>({ journal, queue }: DistributedEngineOptions<Transaction>): () => Promise<void> {
  const suspects = new Map<string, number>();
  return async () => {
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
}
