import type { FlowLimits } from './attempt.ts';
import type { DescribeFailure } from './failure.ts';
import type { Journal } from './journal.ts';
import type { FlowFactory } from './step.ts';

/** What every engine is made of. */
export interface EngineOptions<Transaction> {
  readonly journal: Journal<Transaction>;
  readonly flows: ReadonlyMap<string, FlowFactory>;
  readonly describeFailure: DescribeFailure;
  /** May the same step succeed when it is simply tried again? */
  readonly isPassing: (error: unknown) => boolean;
  /** As in `RunHost`. */
  readonly isOutage?: (error: unknown) => boolean;
  /** Jobs that run at the same time in this process. */
  readonly maxJobs: number;
  /** Jobs of one group that run at the same time, over all processes; any number when absent. */
  readonly maxJobsPerGroup?: number;
  readonly limits: FlowLimits;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Hears of faults that leave a job to be taken up again later. */
  readonly onFault: (jobId: string, error: unknown) => void;
}
