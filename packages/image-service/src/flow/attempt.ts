import type { Interruption } from './failure.ts';
import { InterruptedError } from './failure.ts';
import type { Claim } from './job.ts';
import type { Journal } from './journal.ts';
import type { JobProgress, StepProgress } from './progress.ts';
import { progressMeter } from './progress.ts';
import type { StepContext } from './step.ts';

/** Bounds on one step. */
export interface FlowLimits {
  /** A step that began so often and never ended took its process down each time; it is not begun again. */
  readonly maxAttempts: number;
  /** How often a step is tried again in the same process when its failure is a passing one. */
  readonly maxRetries: number;
  /** The wait before the nth retry, n from 1. */
  readonly retryDelayMs: (retry: number) => number;
  /** A step that reports nothing new for so long is stopped. */
  readonly noProgressMs: number;
  /** Progress is kept at most this often. */
  readonly progressIntervalMs: number;
}

/** What one run of a step needs from around it. */
export interface AttemptHost {
  readonly journal: Journal<never>;
  readonly claim: Claim;
  readonly limits: FlowLimits;
  readonly now: () => number;
  /** Gets every report, at once. */
  readonly onProgress: (progress: JobProgress) => void;
  readonly warn: (message: string) => void;
  /** Interrupts the whole job. */
  readonly interrupt: (interruption: Interruption) => void;
}

/** One run of one step. */
export interface AttemptedWork<T> {
  readonly step: string;
  readonly attempt: number;
  /** Undefined for what must not be stopped from outside: reverts and points of no return. */
  readonly signal: AbortSignal | undefined;
  readonly work: (context: StepContext) => Promise<T>;
}

/** Does the work once: with its signal, its progress kept, and the watch that stops it when nothing moves. */
export async function attempt<T>(host: AttemptHost, attempted: AttemptedWork<T>): Promise<T> {
  const watch = stallWatch(host.limits.noProgressMs);
  const keeper = progressKeeper(host);
  const meter = progressMeter(attempted.step, host.now);
  let last = '';
  const report = (progress: StepProgress): void => {
    const position = `${progress.phase} ${progress.doneBytes}`;
    if (position !== last) watch.moved();
    last = position;
    const measured = meter(progress);
    host.onProgress(measured);
    keeper.offer(measured);
  };
  const signals = attempted.signal === undefined ? [watch.signal] : [watch.signal, attempted.signal];
  try {
    return await attempted.work({
      jobId: host.claim.jobId,
      epoch: host.claim.epoch,
      attempt: attempted.attempt,
      signal: AbortSignal.any(signals),
      report,
      warn: host.warn,
    });
  } catch (error) {
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.end();
    await keeper.settled();
  }
}

interface StallWatch {
  readonly signal: AbortSignal;
  moved(): void;
  end(): void;
}

function stallWatch(noProgressMs: number): StallWatch {
  const controller = new AbortController();
  const fire = (): void => controller.abort(new InterruptedError('stalled'));
  const begin = (): NodeJS.Timeout => setTimeout(fire, noProgressMs).unref();
  const timer = begin();
  return {
    signal: controller.signal,
    moved: () => {
      timer.refresh();
    },
    end: () => clearTimeout(timer),
  };
}

interface ProgressKeeper {
  offer(progress: JobProgress): void;
  settled(): Promise<void>;
}

/** Keeps progress in the journal, not too often and never two writes at once; learns there of cancellation and loss of the job. */
function progressKeeper(host: AttemptHost): ProgressKeeper {
  let saving: Promise<void> | undefined;
  let lastSaved: JobProgress | undefined;
  const save = async (progress: JobProgress): Promise<void> => {
    try {
      const { cancelRequested } = await host.journal.saveProgress(host.claim, progress);
      if (cancelRequested) host.interrupt('cancelled');
    } catch {
      // The write that ends the step will meet the same fault and report it; here it only means to stop early.
      host.interrupt('fenced');
    } finally {
      saving = undefined;
    }
  };
  return {
    offer(progress) {
      const due =
        lastSaved === undefined ||
        lastSaved.phase !== progress.phase ||
        progress.at - lastSaved.at >= host.limits.progressIntervalMs;
      if (!due || saving !== undefined) return;
      lastSaved = progress;
      saving = save(progress);
    },
    settled: async () => saving,
  };
}
