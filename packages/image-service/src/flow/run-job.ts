import type { AttemptHost } from './attempt.ts';
import { attempt } from './attempt.ts';
import type { DescribeFailure, Failure, Interruption } from './failure.ts';
import { FlowError, INTERRUPTED_TOO_OFTEN, InterruptedError } from './failure.ts';
import type { JobRecord, StepRecord } from './job.ts';
import type { JsonObject } from './json.ts';
import type { AnyStep, Conclusion, Flow, FlowFactory, StepContext, StepOutcome } from './step.ts';

/** What running a job needs from around it. */
export interface RunHost extends Omit<AttemptHost, 'claim' | 'warn' | 'interrupt'> {
  readonly flows: ReadonlyMap<string, FlowFactory>;
  readonly describeFailure: DescribeFailure;
  /** May the same step succeed when it is simply tried again? */
  readonly isPassing: (error: unknown) => boolean;
  /**
   * Is it not the step that failed, but what everything rests on, such as the database? Then nothing is decided: the run
   * ends with that error, and the job goes on when it is taken up again. Nothing is of that kind when absent.
   */
  readonly isOutage?: (error: unknown) => boolean;
  /** Waits; returns early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** One job in the hands of this process. */
interface Run {
  readonly host: RunHost;
  readonly attempts: AttemptHost;
  readonly flow: Flow;
  readonly signal: AbortSignal;
  readonly warnings: Set<string>;
}

/** `paused`: the engine is stopping; the job goes on at its step when it is taken up again. */
export type RunEnd = 'ended' | 'paused';

/**
 * Takes the job up where the journal says it is and brings it to its end: forward through its steps, or back through
 * their reverts. Whatever a step throws is a failure of the job; what this function throws is a fault of the engine's
 * surroundings (the journal cannot be written, the job was taken over), and leaves the job to be taken up again.
 */
export async function runJob(host: RunHost, jobId: string, control: AbortController): Promise<RunEnd> {
  const claimed = await host.journal.claim(jobId);
  if (claimed === undefined) return 'ended';
  const factory = host.flows.get(claimed.flow);
  if (factory === undefined) throw new FlowError('unknown_flow', `Job ${jobId} is of the unknown flow ${claimed.flow}`);
  const run = makeRun(host, claimed, factory, control);
  let job = await withResults(run, claimed);
  while (job.state === 'queued' || job.state === 'running' || job.state === 'reverting' || job.state === 'concluding') {
    if (job.state === 'queued') await host.journal.setState(run.attempts.claim, 'running');
    else if (job.state === 'concluding') await conclude(run, job);
    else if ((await (job.state === 'running' ? forward(run, job) : backward(run, job))) === 'paused') return 'paused';
    job = await readAgain(run, jobId);
  }
  return 'ended';
}

function makeRun(host: RunHost, job: JobRecord, factory: FlowFactory, control: AbortController): Run {
  const warnings = new Set(job.warnings);
  const interrupt = (interruption: Interruption): void => control.abort(new InterruptedError(interruption));
  const claim = { jobId: job.id, epoch: job.epoch };
  const attempts = { ...host, claim, interrupt, warn: (message: string) => void warnings.add(message) };
  const hold = (transaction: unknown): Promise<void> => host.journal.hold(claim, transaction as never);
  const flow = factory({ id: job.id, input: job.input, epoch: job.epoch, hold });
  return { host, attempts, flow, signal: control.signal, warnings };
}

async function readAgain(run: Run, jobId: string): Promise<JobRecord> {
  const job = await run.host.journal.get(jobId);
  if (job?.epoch !== run.attempts.claim.epoch) throw new FlowError('fenced', `Job ${jobId} was taken over`);
  return job;
}

/** The job as it goes on: from its first step when what finished steps have left is not here. */
async function withResults(run: Run, job: JobRecord): Promise<JobRecord> {
  const { steps, resultsRemain } = run.flow;
  if (resultsRemain === undefined || job.state !== 'running') return job;
  if (!job.steps.some(({ state }) => state === 'finished')) return job;
  const next = steps.find((_, position) => job.steps[position]?.state !== 'finished');
  if (next === undefined || next.pivot === true || (await resultsRemain(stateAt(job, Infinity)))) return job;
  await run.host.journal.restart(run.attempts.claim);
  return readAgain(run, job.id);
}

async function forward(run: Run, job: JobRecord): Promise<RunEnd | 'turned'> {
  const { journal } = run.host;
  let state = job.input;
  for (const [position, step] of run.flow.steps.entries()) {
    const record = job.steps[position];
    if (record?.state === 'finished') {
      state = { ...state, ...record.output };
      continue;
    }
    const turn = reasonToTurn(run, job, { step, record });
    if (turn === 'stop') return 'paused';
    if (turn !== undefined) {
      await journal.fail(run.attempts.claim, turn, { warnings: [...run.warnings] });
      return 'turned';
    }
    const result = await executeStep(run, { step, position, state, record });
    if (result === 'paused') return 'paused';
    if (result === 'failed') return 'turned';
    state = { ...state, ...result };
  }
  await journal.setState(run.attempts.claim, 'concluding');
  return 'turned';
}

interface NextStep {
  readonly step: AnyStep;
  readonly record: StepRecord | undefined;
}

/** Why the next step is not to be executed; undefined when it is. A point of no return that has begun is always executed. */
function reasonToTurn(run: Run, job: JobRecord, { step, record }: NextStep): Failure | 'stop' | undefined {
  const interruption = interruptionOf(run.signal);
  if (interruption === 'fenced') throw new FlowError('fenced', `Job ${job.id} was taken over`);
  if (interruption === 'stop') return 'stop';
  if (step.pivot === true && record !== undefined) return undefined;
  if (job.cancelRequested || interruption === 'cancelled') return interruptedFailure('cancelled', step.name);
  if (record !== undefined && record.attempts >= run.host.limits.maxAttempts) {
    const message = `The step was begun ${record.attempts} times and the process died in it each time`;
    return { code: INTERRUPTED_TOO_OFTEN, message, step: step.name };
  }
  return undefined;
}

interface StepToExecute extends NextStep {
  readonly position: number;
  readonly state: JsonObject;
}

async function executeStep(run: Run, next: StepToExecute): Promise<JsonObject | 'paused' | 'failed'> {
  const { journal } = run.host;
  const { step, position } = next;
  const claim = { ...run.attempts.claim, position };
  const signal = step.pivot === true ? undefined : run.signal;
  const begun = next.record?.attempts ?? 0;
  for (let retry = 0; ; retry++) {
    await journal.beginStep(claim, step.name);
    const work = (context: StepContext): Promise<JsonObject> => step.execute(next.state, context);
    const result = await settle(attempt(run.attempts, { step: step.name, attempt: begun + retry + 1, signal, work }));
    if ('value' in result) {
      await journal.finishStep(claim, result.value, [...run.warnings]);
      return result.value;
    }
    const interruption = signal === undefined ? undefined : interruptionOf(signal);
    if (interruption === 'fenced') throw new FlowError('fenced', `Job ${claim.jobId} was taken over`);
    if (interruption === 'stop') {
      await journal.pauseStep(claim);
      return 'paused';
    }
    if (interruption === undefined) {
      refuseToJudge(run, result.error);
      if (await mayRetry(run, result.error, retry)) continue;
    }
    const failure = failureOf(run, interruption ?? result.error, step.name);
    await journal.fail(claim, failure, { failedPosition: position, warnings: [...run.warnings] });
    return 'failed';
  }
}

/** Throws what says nothing about the step: an outage, or that the job is somebody else's. */
function refuseToJudge({ host }: Run, error: unknown): void {
  if (error instanceof FlowError && error.code === 'fenced') throw error;
  if (host.isOutage?.(error) === true) throw error;
}

/** Waits before a retry that makes sense; false when it makes none. */
async function mayRetry(run: Run, error: unknown, retries: number): Promise<boolean> {
  const { limits, isPassing, sleep } = run.host;
  if (error instanceof InterruptedError || retries >= limits.maxRetries || !isPassing(error)) return false;
  await sleep(limits.retryDelayMs(retries + 1), run.signal);
  return true;
}

async function backward(run: Run, job: JobRecord): Promise<RunEnd | 'turned'> {
  for (const record of job.steps.toReversed()) {
    if (record.state === 'reverted' || record.state === 'revert_failed') continue;
    if (interruptionOf(run.signal) === 'stop') return 'paused';
    const step = run.flow.steps[record.position];
    const failure = step === undefined ? undefined : await revertStep(run, job, { step, record });
    await run.host.journal.finishRevert({ ...run.attempts.claim, position: record.position }, failure);
  }
  await run.host.journal.setState(run.attempts.claim, 'concluding');
  return 'turned';
}

interface StepToRevert {
  readonly step: AnyStep;
  readonly record: StepRecord;
}

/** Reverts one step, with retries; what went wrong comes back and never stops the reverts before it. */
async function revertStep(run: Run, job: JobRecord, { step, record }: StepToRevert): Promise<Failure | undefined> {
  if (step.revert === undefined) return undefined;
  const { limits, journal } = run.host;
  if (record.revertAttempts >= limits.maxAttempts) {
    const message = `The revert was begun ${record.revertAttempts} times and the process died in it each time`;
    return { code: INTERRUPTED_TOO_OFTEN, message, step: step.name };
  }
  const input = stateAt(job, record.position);
  const outcome = outcomeOf(record);
  const work = async (context: StepContext): Promise<void> => step.revert?.(input, outcome, context);
  for (let retry = 0; ; retry++) {
    await journal.beginRevert({ ...run.attempts.claim, position: record.position });
    const number = record.revertAttempts + retry + 1;
    const result = await settle(attempt(run.attempts, { step: step.name, attempt: number, signal: undefined, work }));
    if ('value' in result) return undefined;
    refuseToJudge(run, result.error);
    if (!(await mayRetry(run, result.error, retry))) return failureOf(run, result.error, step.name);
  }
}

async function conclude(run: Run, job: JobRecord): Promise<void> {
  const { journal, limits, sleep } = run.host;
  const { flow, attempts } = run;
  const conclusion = conclusionOf(job, [...run.warnings]);
  const work = async (context: StepContext): Promise<void> => flow.conclude?.(conclusion, context);
  for (let retry = 0; ; retry++) {
    const result = await settle(attempt(attempts, { step: 'conclude', attempt: retry + 1, signal: undefined, work }));
    if ('value' in result) break;
    refuseToJudge(run, result.error);
    if (retry >= limits.maxRetries) throw result.error;
    await sleep(limits.retryDelayMs(retry + 1), run.signal);
  }
  await journal.setState(attempts.claim, conclusion.kind);
}

function conclusionOf(job: JobRecord, warnings: readonly string[]): Conclusion {
  const state = stateAt(job, Number.POSITIVE_INFINITY);
  const { failure } = job;
  if (failure === null) return { kind: 'succeeded', state, warnings };
  const revertFailures = job.steps.flatMap((step) => (step.revertFailure === null ? [] : [step.revertFailure]));
  const kind = failure.code === 'cancelled' ? 'cancelled' : 'failed';
  return { kind, state, warnings, failure, revertFailures };
}

/** The input of the job with the outputs of the steps before `position`. */
function stateAt(job: JobRecord, position: number): JsonObject {
  const outputs = job.steps.filter((step) => step.position < position).map((step) => step.output ?? {});
  return Object.assign({}, job.input, ...outputs) as JsonObject;
}

function outcomeOf(record: StepRecord): StepOutcome<JsonObject> {
  if (record.output !== null) return { kind: 'finished', output: record.output };
  return record.failure === null ? { kind: 'interrupted' } : { kind: 'failed', failure: record.failure };
}

function interruptionOf(signal: AbortSignal): Interruption | undefined {
  if (!signal.aborted) return undefined;
  return signal.reason instanceof InterruptedError ? signal.reason.interruption : 'cancelled';
}

function failureOf(run: Run, cause: unknown, step: string): Failure {
  if (cause === 'cancelled' || cause === 'stalled') return interruptedFailure(cause, step);
  if (cause instanceof InterruptedError) return interruptedFailure(cause.interruption, step);
  return { ...run.host.describeFailure(cause), step };
}

function interruptedFailure(interruption: Interruption, step: string): Failure {
  return { code: interruption, message: new InterruptedError(interruption).message, step };
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };

/** The promise's value or what it was rejected with: tells a step's failure from the journal's. */
async function settle<T>(promise: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
