import { setTimeout as delay } from 'node:timers/promises';
import { Kysely } from 'kysely';
import { afterEach } from 'vitest';
import { sqliteDialect } from '../src/catalog/database/sqlite.ts';
import { databaseJournal } from '../src/flow/database-journal.ts';
import type { DistributedEngineOptions } from '../src/flow/distributed-engine.ts';
import { distributedEngine } from '../src/flow/distributed-engine.ts';
import type { EmbeddedEngineOptions } from '../src/flow/embedded-engine.ts';
import { embeddedEngine } from '../src/flow/embedded-engine.ts';
import type { Engine } from '../src/flow/engine.ts';
import type { Failure } from '../src/flow/failure.ts';
import type { Journal } from '../src/flow/journal.ts';
import type { JournalTables } from '../src/flow/journal-tables.ts';
import { JOURNAL_MIGRATIONS } from '../src/flow/journal-tables.ts';
import type { JobQueue } from '../src/flow/job-queue.ts';
import { pgBossQueue } from '../src/flow/pg-boss-queue.ts';
import type { DatabaseKind } from './databases.ts';
import { makeDatabase } from './databases.ts';

/** A journal of its own on each kind of database. Its engines are those of that kind. */
export async function makeJournal(kind: DatabaseKind): Promise<Journal<unknown>> {
  const database = kind === 'sqlite' ? undefined : await makeDatabase(kind, () => {});
  const db = new Kysely<JournalTables>({ dialect: database?.dialect() ?? sqliteDialect(':memory:') });
  for (const migrate of Object.values(JOURNAL_MIGRATIONS)) await migrate(db as unknown as Kysely<unknown>);
  let clock = 0;
  const journal = databaseJournal(db, () => (clock += 1)) as Journal<unknown>;
  if (database !== undefined) {
    URLS.set(journal, database.url);
    open.push(() => db.destroy());
  }
  return journal;
}

/** A journal in memory that outlives the engines of a test: what a disk is to processes. */
export function memoryJournal(): Promise<Journal<unknown>> {
  return makeJournal('sqlite');
}

const URLS = new WeakMap<Journal<unknown>, string>();
const open: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** What a thrown error is kept as: its message, its `code` if it has one. */
export function describeError(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal';
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** What tests say of an engine; what only one kind has is of no meaning to the other. */
export type TestEngineOptions = Partial<EmbeddedEngineOptions<unknown> & DistributedEngineOptions<unknown>> &
  Pick<EmbeddedEngineOptions<unknown>, 'flows'>;

/** An engine of the journal's kind with limits fit for tests: no waiting between retries. */
export function testEngine(journal: Journal<unknown>, options: TestEngineOptions): Engine<unknown> {
  const whole = {
    journal,
    describeFailure: describeError,
    isPassing: (error: unknown) => describeError(error).code === 'passing',
    maxJobs: 2,
    limits: {
      maxAttempts: 3,
      maxRetries: 2,
      retryDelayMs: () => 0,
      noProgressMs: 60_000,
      progressIntervalMs: 0,
    },
    now: Date.now,
    sleep: async (ms: number) => void (await delay(ms)),
    onFault: () => {},
    ...options,
  };
  const url = URLS.get(journal);
  if (url === undefined) {
    return embeddedEngine<unknown>({
      acquireLock: () => ({ release: () => {} }),
      beforeResume: async () => {},
      ...whole,
    });
  }
  const { node = 'here', role = 'runs jobs', maxJobsPerGroup: maxPerGroup } = options;
  const engine = distributedEngine<unknown>({
    node,
    role,
    pace: { takeMs: 100, watchMs: 50, keepMs: 200, faultDelayMs: 100 },
    queue: pgBossQueue({
      url,
      waitMs: 10_000,
      statementTimeoutMs: 10_000,
      node,
      role: role === 'runs jobs' ? 'takes' : 'only puts',
      onFault: () => {},
      ...(maxPerGroup === undefined ? {} : { maxPerGroup }),
    }) as JobQueue<unknown>,
    ...whole,
  });
  open.push(() => engine.stop());
  return engine;
}
