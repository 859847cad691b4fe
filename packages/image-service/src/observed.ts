import type { ImportParts } from './import/stage-context.ts';
import { stageOf } from './import/service.ts';
import type { Conclusion, Flow, FlowFactory, StepContext } from './flow/step.ts';
import type { AnyStep } from './flow/step.ts';
import type { JsonObject } from './flow/json.ts';
import type { ImageStore, StoredBlob } from './store/store.ts';
import type { Figures, Outcome, StoreOperation } from './telemetry/figures.ts';
import type { Log } from './telemetry/log.ts';
import { withLogContext } from './telemetry/log-context.ts';
import { inSpan } from './telemetry/traces.ts';

/** Where what is done is told. */
export interface Watch {
  readonly log: Log;
  readonly figures: Figures;
}

/** Sees what stores and flows do. */
export interface Observer {
  /** The same store; each operation is timed, counted and has a span. */
  store<S extends ImageStore>(store: S): S;
  flows(flows: ReadonlyMap<string, FlowFactory>, parts: Pick<ImportParts, 'catalog'>): ReadonlyMap<string, FlowFactory>;
}

/** Tells the watch of everything that stores and flows do. */
export function observer(watch: Watch): Observer {
  return {
    store: (store) => observedStore(store, watch.figures),
    flows: (flows, parts) => observedFlows(flows, parts, watch),
  };
}

function observedStore<S extends ImageStore>(store: S, figures: Figures): S {
  const timed = async <T>(
    operation: StoreOperation['operation'],
    work: () => Promise<T>,
    bytesOf: (result: T) => number = () => 0,
  ): Promise<T> => {
    const began = performance.now();
    const ended = (outcome: Outcome, bytes: number): void =>
      figures.storeUsed({ store: store.id, operation, outcome, seconds: secondsSince(began), bytes });
    return inSpan(`store ${operation}`, { 'diskmorph.store': store.id }, work).then(
      (result) => {
        ended('success', bytesOf(result));
        return result;
      },
      (error: unknown) => {
        ended('failure', 0);
        throw error;
      },
    );
  };
  return {
    ...store,
    put: (owner, content, options) =>
      timed(
        'put',
        () => store.put(owner, content, options),
        ({ sizeBytes }: StoredBlob) => sizeBytes,
      ),
    read: (location, range, signal) => observedRead(store.id, store.read(location, range, signal), figures),
    stat: (location) => timed('stat', () => store.stat(location)),
    delete: (location) => timed('delete', () => store.delete(location)),
    blobsOf: (imageId) => timed('list', () => store.blobsOf(imageId)),
  };
}

/** A read ends when its reader has enough, or it fails. */
async function* observedRead(
  store: string,
  bytes: AsyncIterable<Uint8Array>,
  figures: Figures,
): AsyncGenerator<Uint8Array> {
  const began = performance.now();
  let count = 0;
  let outcome: Outcome = 'failure';
  try {
    for await (const chunk of bytes) {
      count += chunk.byteLength;
      outcome = 'success';
      yield chunk;
      outcome = 'failure';
    }
    outcome = 'success';
  } finally {
    figures.storeUsed({ store, operation: 'read', outcome, seconds: secondsSince(began), bytes: count });
  }
}

/** The same flows; each step is timed and has a span, its lines bear the ids of its task and of the call that began it. */
function observedFlows(
  flows: ReadonlyMap<string, FlowFactory>,
  parts: Pick<ImportParts, 'catalog'>,
  watch: Watch,
): ReadonlyMap<string, FlowFactory> {
  return new Map(
    Array.from(flows, ([name, factory]) => [name, (job) => observedFlow(factory(job), { name, parts, watch })]),
  );
}

interface FlowSurroundings {
  readonly name: string;
  readonly parts: Pick<ImportParts, 'catalog'>;
  readonly watch: Watch;
}

function observedFlow(flow: Flow, surroundings: FlowSurroundings): Flow {
  const { conclude } = flow;
  return {
    ...flow,
    steps: flow.steps.map((step) => observedStep(step, surroundings)),
    conclude: async (conclusion, context) => {
      await withTaskContext(surroundings, context.jobId, async () => {
        await conclude?.(conclusion, context);
        tellEnd(conclusion, surroundings);
      });
    },
  };
}

function tellEnd(conclusion: Conclusion, { name: flow, watch }: FlowSurroundings): void {
  const code = conclusion.kind === 'succeeded' ? '' : conclusion.failure.code;
  watch.figures.taskEnded({ flow, outcome: conclusion.kind, code });
  const { warnings } = conclusion;
  if (conclusion.kind === 'succeeded') watch.log.info(`${flow} succeeded`, { flow, warnings });
  else {
    const { failure, revertFailures } = conclusion;
    watch.log.warn(`${flow} ${conclusion.kind}: ${failure.message}`, { flow, code, failure, revertFailures, warnings });
  }
}

function observedStep(step: AnyStep, surroundings: FlowSurroundings): AnyStep {
  const { revert } = step;
  return {
    ...step,
    execute: (input, context) => observed(step, { context, surroundings }, () => step.execute(input, context)),
    ...(revert === undefined
      ? {}
      : {
          revert: (input, outcome, context) =>
            observed(step, { context, surroundings, undoing: true }, () => revert.call(step, input, outcome, context)),
        }),
  };
}

interface StepRun {
  readonly context: StepContext;
  readonly surroundings: FlowSurroundings;
  readonly undoing?: true;
}

async function observed<T extends JsonObject | void>(
  { name }: AnyStep,
  { context, surroundings, undoing }: StepRun,
  work: () => Promise<T>,
): Promise<T> {
  const { name: flow, watch } = surroundings;
  const stage = stageOf(name, context.jobId);
  const began = performance.now();
  const ended = (outcome: 'success' | 'failure'): void => {
    const seconds = secondsSince(began);
    const paused = outcome === 'failure' && context.signal.aborted;
    const told = paused ? 'paused' : undoing === true && outcome === 'success' ? 'reverted' : outcome;
    watch.figures.stageEnded({ flow, stage, outcome: told, seconds });
    watch.log.debug(`${stage}: ${told}`, {
      flow,
      stage,
      attempt: context.attempt,
      duration_ms: Math.round(seconds * 1000),
    });
  };
  const attributes = { 'diskmorph.task_id': context.jobId, 'diskmorph.attempt': context.attempt };
  return withTaskContext(surroundings, context.jobId, async () => {
    try {
      const result = await inSpan(`${flow} ${undoing === true ? 'undo ' : ''}${stage}`, attributes, work);
      ended('success');
      return result;
    } catch (error) {
      ended('failure');
      throw error;
    }
  });
}

async function withTaskContext<T>({ parts }: FlowSurroundings, taskId: string, work: () => Promise<T>): Promise<T> {
  const task = await parts.catalog.tasks.get(taskId).catch(() => undefined);
  const requestId = task?.requestId ?? undefined;
  return withLogContext({ task_id: taskId, ...(requestId === undefined ? {} : { request_id: requestId }) }, work);
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
