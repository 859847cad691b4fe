import { setTimeout as delay } from 'node:timers/promises';
import { Kysely, SqliteDialect } from 'kysely';
import { DatabaseSync } from 'node:sqlite';
import { databaseJournal } from './database-journal.ts';
import type { EmbeddedEngineOptions } from './embedded-engine.ts';
import { embeddedEngine } from './embedded-engine.ts';
import type { Engine } from './engine.ts';
import type { Failure } from './failure.ts';
import type { Journal } from './journal.ts';
import type { JournalTables } from './journal-tables.ts';
import { JOURNAL_MIGRATIONS } from './journal-tables.ts';

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
}

/** Dies at operation `dieAt`, from 1; `onDeath` tells the test. */
export function doom(dieAt: number, onDeath: () => void): Doom {
  let count = 0;
  return {
    gate: async () => {
      count += 1;
      if (count === dieAt) onDeath();
      if (count >= dieAt) await new Promise(() => {});
    },
    dead: () => count >= dieAt,
    count: () => count,
  };
}

/** Every method of `target` with a gate before and after it. */
export function doomed<T extends object>(target: T, { gate }: Doom): T {
  return new Proxy(target, {
    get(object, name, receiver) {
      const member: unknown = Reflect.get(object, name, receiver);
      if (typeof member !== 'function') return member;
      return async (...parameters: unknown[]) => {
        await gate();
        const result: unknown = await Reflect.apply(member, object, parameters);
        await gate();
        return result;
      };
    },
  });
}
