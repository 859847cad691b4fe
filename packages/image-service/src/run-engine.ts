import { setTimeout as delay } from 'node:timers/promises';
import type { Transaction } from 'kysely';
import { isPostgresOutage, toldApart } from './catalog/database/postgres.ts';
import type { Configuration } from './config/load.ts';
import type { Tables } from './database.ts';
import { distributedEngine } from './flow/distributed-engine.ts';
import { embeddedEngine } from './flow/embedded-engine.ts';
import type { EngineOptions } from './flow/engine-options.ts';
import type { Engine } from './flow/engine.ts';
import { FlowError } from './flow/failure.ts';
import type { JobQueue } from './flow/job-queue.ts';
import type { NewJob } from './flow/job.ts';
import type { Journal } from './flow/journal.ts';
import type { EngineLock } from './flow/lock.ts';
import { pgBossQueue } from './flow/pg-boss-queue.ts';
import type { FlowFactory } from './flow/step.ts';
import { describeFailure, isPassingFailure } from './import/failure.ts';
import type { ImportParts } from './import/stage-context.ts';
import { clearResidue } from './residue.ts';

type Tx = Transaction<Tables>;

/** What this process does: it runs tasks, or serves those who ask for them. */
export type ProcessRole = 'runs tasks' | 'only asks';

/** What the engine of this process is made of. */
export interface EngineParts {
  readonly parts: ImportParts<Tx>;
  readonly journal: Journal<Tx>;
  readonly flows: ReadonlyMap<string, FlowFactory>;
  readonly acquireLock: () => EngineLock;
  readonly configuration: Configuration;
  readonly role: ProcessRole;
  /** Gets warnings for operators, and errors that nobody foresaw. */
  readonly log: (message: string, error?: unknown) => void;
}

/** A step that took its process down so often is not begun again. */
const MAX_ATTEMPTS = 10;
const MAX_RETRIES = 4;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const PROGRESS_INTERVAL_MS = 1000;
/** Between two looks for what processes that died have left. */
const RESIDUE_INTERVAL_MS = 10 * 60_000;

/** The engine that the configuration's database asks for: one process on SQLite, any number on PostgreSQL. */
export function runEngine(made: EngineParts): Engine<Tx> {
  const { configuration, parts, journal } = made;
  const options = engineOptions(made);
  if (configuration.database.kind === 'sqlite') {
    return embeddedEngine({
      ...options,
      acquireLock: made.acquireLock,
      beforeResume: () => clearResidue(parts, journal, 'alone'),
    });
  }
  return sharedEngine(made, options, configuration.database);
}

/** The queue has connections of its own to the database. */
function queueThatTells(queue: JobQueue<Tx>): JobQueue<Tx> {
  return {
    open: () => toldApart(queue.open()),
    close: () => queue.close(),
    put: (entry, transaction) => toldApart(queue.put(entry, transaction)),
    take: () => toldApart(queue.take()),
    keep: (entries) => toldApart(queue.keep(entries)),
    done: (entry) => toldApart(queue.done(entry)),
    putBack: (entry, afterSeconds) => toldApart(queue.putBack(entry, afterSeconds)),
    missing: (jobIds) => toldApart(queue.missing(jobIds)),
  };
}

function sharedEngine(
  { configuration, parts, journal, role }: EngineParts,
  options: EngineOptions<Tx>,
  database: Extract<Configuration['database'], { kind: 'postgres' }>,
): Engine<Tx> {
  const { nodeName: node, stagingScope } = configuration.sharedWork;
  const { maxJobsPerGroup: maxPerGroup } = options;
  const queue = pgBossQueue<Tables>({
    ...database,
    node,
    role: role === 'runs tasks' ? 'takes' : 'only puts',
    onFault: (error) => parts.log(`the queue of tasks met a fault that passes: ${messageOf(error)}`),
    ...(maxPerGroup === undefined ? {} : { maxPerGroup }),
  });
  const residue = residueWatch(() => clearResidue(parts, journal, 'beside others'));
  const engine = distributedEngine<Tx>({
    ...options,
    isOutage: isPostgresOutage,
    onFault(jobId, error) {
      options.onFault(jobId, error);
      // Whoever woke up after its job had ended elsewhere may have made its scratch directory anew.
      if (error instanceof FlowError && error.code === 'fenced') residue.look();
    },
    queue: queueThatTells(queue),
    node,
    role: role === 'runs tasks' ? 'runs jobs' : 'only submits',
    ...(stagingScope === 'node' ? { bindsToNode: true } : {}),
  });
  const placed: Engine<Tx> = {
    ...engine,
    submit: (job, transaction) => engine.submit({ ...job, ...placeOf(job, { node, stagingScope }) }, transaction),
  };
  if (role !== 'runs tasks') return placed;
  return {
    ...placed,
    async start() {
      await engine.start();
      residue.start();
    },
    async stop() {
      await engine.stop();
      await residue.stop();
    },
  };
}

/** A job that reads a file which only this machine has can run here only. */
function placeOf(
  { node: given, input }: NewJob,
  { node, stagingScope }: Pick<Configuration['sharedWork'], 'stagingScope'> & { readonly node: string },
): { readonly node?: string } {
  if (given !== undefined) return { node: given };
  const { import_from: from, import_method: method } = input;
  const isFile = typeof from === 'string' && /^(?:\/|file:)/.test(from);
  // Without a method it is a file that somebody named at a command line, wherever that was.
  return isFile && (method === undefined || stagingScope === 'node') ? { node } : {};
}

interface ResidueWatch {
  /** Looks now, and from now on again and again. */
  start(): void;
  look(): void;
  /** Returns when no look is under way. */
  stop(): Promise<void>;
}

/** Looks for what processes that died have left, one look at a time. */
function residueWatch(clear: () => Promise<void>): ResidueWatch {
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<void> = Promise.resolve();
  const look = (): void => {
    last = last.then(clear).catch(() => {});
  };
  return {
    look,
    start() {
      if (timer !== undefined) return;
      look();
      timer = setInterval(look, RESIDUE_INTERVAL_MS).unref();
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      await last;
    },
  };
}

function engineOptions({ journal, flows, configuration, log }: EngineParts): EngineOptions<Tx> {
  const { maxWorkersPerProject } = configuration.sharedWork;
  return {
    journal,
    flows,
    describeFailure: (error) => {
      const failure = describeFailure(error);
      if (failure.code === 'internal') log('a task met an error that nobody foresaw', error);
      return failure;
    },
    isPassing: isPassingFailure,
    maxJobs: configuration.maxWorkers,
    ...(maxWorkersPerProject === 0 ? {} : { maxJobsPerGroup: maxWorkersPerProject }),
    limits: {
      maxAttempts: MAX_ATTEMPTS,
      maxRetries: MAX_RETRIES,
      retryDelayMs: (retry) => Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (retry - 1)),
      noProgressMs: configuration.noProgressTimeout * 1000,
      progressIntervalMs: PROGRESS_INTERVAL_MS,
    },
    now: Date.now,
    sleep: async (ms, signal) => {
      // An interruption ends the wait; what follows looks at the signal itself.
      await delay(ms, undefined, { signal }).catch(() => {});
    },
    onFault: (jobId, error) =>
      log(
        jobId === '' ? `tasks cannot be looked at now: ${messageOf(error)}` : `task ${jobId} cannot go on now`,
        error,
      ),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
