import type { Failure } from './failure.ts';
import type { JsonObject } from './json.ts';
import type { StepProgress } from './progress.ts';

/** What a step may use besides its input. */
export interface StepContext {
  readonly jobId: string;
  /** Grows each time a job is taken up. Outputs bear it in their names, so that an older holder cannot harm a newer one's. */
  readonly epoch: number;
  /** How often this step has begun, this time included. */
  readonly attempt: number;
  readonly signal: AbortSignal;
  /** Says how far the step is; cheap, may be called often. */
  report(progress: StepProgress): void;
  /** Keeps something that people should know though nothing failed. */
  warn(message: string): void;
}

/**
 * How a step ended, for its revert. `interrupted`: it began, and nobody knows how far it came (the process died, or the
 * job was cancelled before the step began anew).
 */
export type StepOutcome<Out> =
  | { readonly kind: 'finished'; readonly output: Out }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'interrupted' };

/**
 * One step of a flow. Its input is the job's input and the outputs of all steps before it, merged; output and input are
 * JSON. `execute` is run again from its beginning when the process died in it. `revert` undoes whatever `execute` may
 * have done, however it ended; running it twice does no harm, and finding nothing to undo is success.
 */
export interface Step<In extends JsonObject, Out extends JsonObject> {
  /** Unique in its flow, the same each time the flow is made for the same job. */
  readonly name: string;
  /**
   * The point of no return: once begun, only its own outcome decides. A cancellation no longer counts, and after a crash
   * it is executed again, not reverted.
   */
  readonly pivot?: true;
  readonly execute: (input: In, context: StepContext) => Promise<Out>;
  readonly revert?: (input: In, outcome: StepOutcome<Out>, context: StepContext) => Promise<void>;
}

/** A step with the types of its input and output forgotten: the flow has checked that they fit. */
export interface AnyStep {
  readonly name: string;
  readonly pivot?: true;
  execute(input: JsonObject, context: StepContext): Promise<JsonObject>;
  revert?(input: JsonObject, outcome: StepOutcome<JsonObject>, context: StepContext): Promise<void>;
}

/** How a job ended. `state` is the input with every finished step's output. */
export type Conclusion =
  | { readonly kind: 'succeeded'; readonly state: JsonObject; readonly warnings: readonly string[] }
  | {
      readonly kind: 'failed' | 'cancelled';
      readonly state: JsonObject;
      readonly warnings: readonly string[];
      readonly failure: Failure;
      /** What went wrong while reverting; the reverts after it were run all the same. */
      readonly revertFailures: readonly Failure[];
    };

/** Steps in order, and what to do when all is done or undone. */
export interface Flow {
  readonly steps: readonly AnyStep[];
  /**
   * Is what finished steps have left for later ones, outside of the journal, still there? Asked with the input and all
   * outputs when a job is taken up in the middle, as perhaps on another machine; if not, all steps are executed again, and
   * must bear that. The point of no return must not need any of it. Always when absent.
   */
  readonly resultsRemain?: (state: JsonObject) => Promise<boolean>;
  /** Run at the very end, again after a crash in it, until it succeeds once: it must be repeatable. */
  readonly conclude?: (conclusion: Conclusion, context: StepContext) => Promise<void>;
}

/** One job in the hands of a process, as its flow sees it. */
export interface HeldJob {
  readonly id: string;
  readonly input: JsonObject;
  /** As in `StepContext`. */
  readonly epoch: number;
  /**
   * For writes outside of the journal, in a transaction of the journal's own database: makes sure until its end that the
   * job is still this process's. Throws `fenced` when somebody else has taken it.
   */
  hold(transaction: unknown): Promise<void>;
}

/** Makes the flow of one job; must give the same steps each time. */
export type FlowFactory = (job: HeldJob) => Flow;

/** Collects steps that fit together: each may use what the job's input and the steps before it give. */
export interface FlowBuilder<State extends JsonObject> {
  add<Out extends JsonObject>(step: Step<State, Out>): FlowBuilder<State & Out>;
  readonly steps: readonly AnyStep[];
}

/** An empty linear flow for jobs with this input. */
export function linearFlow<In extends JsonObject>(steps: readonly AnyStep[] = []): FlowBuilder<In> {
  return {
    steps,
    add: <Out extends JsonObject>(step: Step<In, Out>) => linearFlow<In & Out>([...steps, step]),
  };
}
