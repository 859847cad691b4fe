import { setTimeout as delay } from 'node:timers/promises';
import { Kysely, SqliteDialect } from 'kysely';
import { DatabaseSync } from 'node:sqlite';
import { databaseJournal } from '../src/flow/database-journal.ts';
import type { EmbeddedEngineOptions } from '../src/flow/embedded-engine.ts';
import { embeddedEngine } from '../src/flow/embedded-engine.ts';
import type { Engine } from '../src/flow/engine.ts';
import type { Failure } from '../src/flow/failure.ts';
import type { Journal } from '../src/flow/journal.ts';
import type { JournalTables } from '../src/flow/journal-tables.ts';
import { JOURNAL_MIGRATIONS } from '../src/flow/journal-tables.ts';

/** A journal in memory that outlives the engines of a test: what a disk is to processes. */
export async function memoryJournal(): Promise<Journal<unknown>> {
  const database = new DatabaseSync(':memory:');
  const db = new Kysely<JournalTables>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const statement = database.prepare(sql);
          return {
            reader: statement.columns().length > 0,
            all: (parameters) => statement.all(...(parameters as string[])),
            run: (parameters) => statement.run(...(parameters as string[])),
            iterate: (parameters) => statement.iterate(...(parameters as string[])),
          };
        },
      },
    }),
  });
  for (const migrate of Object.values(JOURNAL_MIGRATIONS)) await migrate(db as unknown as Kysely<unknown>);
  let clock = 0;
  return databaseJournal(db, () => (clock += 1)) as Journal<unknown>;
}

/** What a thrown error is kept as: its message, its `code` if it has one. */
export function describeError(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal';
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** An engine over the journal with limits fit for tests: no waiting between retries. */
export function testEngine(
  journal: Journal<unknown>,
  options: Partial<EmbeddedEngineOptions<unknown>> & Pick<EmbeddedEngineOptions<unknown>, 'flows'>,
): Engine<unknown> {
  return embeddedEngine<unknown>({
    journal,
    acquireLock: () => ({ release: () => {} }),
    beforeResume: async () => {},
    describeFailure: describeError,
    isPassing: (error) => describeError(error).code === 'passing',
    maxJobs: 2,
    limits: {
      maxAttempts: 3,
      maxRetries: 2,
      retryDelayMs: () => 0,
      noProgressMs: 60_000,
      progressIntervalMs: 0,
    },
    now: Date.now,
    sleep: async (ms) => void (await delay(ms)),
    onFault: () => {},
    ...options,
  });
}

/** Where a simulated process dies: at its nth operation everything stops for ever, as if it had been killed. */
export interface Doom {
  /** Put before and after everything that can be seen from outside. */
  readonly gate: () => Promise<void>;
  readonly dead: () => boolean;
  /** Operations seen so far. */
  readonly count: () => number;
  /** Runs one operation between two gates. */
  readonly through: <T>(work: () => Promise<T>) => Promise<T>;
  /** Returns when every operation that had begun before the death has ended: a dead process does nothing any more. */
  readonly still: () => Promise<void>;
}

/** Dies at operation `dieAt`, from 1; `onDeath` tells the test. */
export function doom(dieAt: number, onDeath: () => void): Doom {
  let count = 0;
  let running = 0;
  const gate = async (): Promise<void> => {
    count += 1;
    if (count === dieAt) onDeath();
    if (count >= dieAt) await new Promise(() => {});
  };
  return {
    gate,
    dead: () => count >= dieAt,
    count: () => count,
    async through(work) {
      await gate();
      running += 1;
      const result = await work().finally(() => {
        running -= 1;
      });
      await gate();
      return result;
    },
    async still() {
      while (running > 0) await new Promise(setImmediate);
    },
  };
}

/** Every method of `target` with a gate before and after it. */
export function doomed<T extends object>(target: T, { through }: Doom): T {
  return new Proxy(target, {
    get(object, name, receiver) {
      const member: unknown = Reflect.get(object, name, receiver);
      if (typeof member !== 'function') return member;
      return (...parameters: unknown[]) =>
        through(async (): Promise<unknown> => Reflect.apply(member, object, parameters));
    },
  });
}
