import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dialect } from 'kysely';
import { afterAll } from 'vitest';
import type { PostgresServer } from '../../../fixtures/postgres.ts';
import { startPostgres } from '../../../fixtures/postgres.ts';
import { postgresDialect } from '../src/catalog/database/postgres.ts';
import { sqliteDialect } from '../src/catalog/database/sqlite.ts';

/** The databases that everything must work on. */
export const DATABASE_KINDS = ['sqlite', 'postgres'] as const;
/** One of `DATABASE_KINDS`. */
export type DatabaseKind = (typeof DATABASE_KINDS)[number];

/** An empty database that can be opened again and again. */
export interface TestDatabase {
  /** Another connection to it, as another process has it. */
  dialect(): Dialect;
  /** As `[database] connection` names it. */
  readonly url: string;
}

let server: Promise<PostgresServer> | undefined;

/** The PostgreSQL of this test file: started when it is first asked for, stopped after the file's last test. */
export function testPostgres(): Promise<PostgresServer> {
  server ??= startPostgres();
  return server;
}

afterAll(async () => {
  const running = server;
  server = undefined;
  await (await running?.catch(() => undefined))?.stop();
});

/** Makes an empty database; `cleanUp` gets what is to be done when it is no longer needed. */
export async function makeDatabase(
  kind: DatabaseKind,
  cleanUp: (work: () => Promise<void>) => void,
): Promise<TestDatabase> {
  if (kind === 'postgres') {
    const url = await (await testPostgres()).database();
    return { url, dialect: () => postgresDialect(postgresAddress(url), () => {}) };
  }
  const dir = await mkdtemp(join(tmpdir(), 'diskmorph-database-'));
  cleanUp(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'state.db');
  return { url: `sqlite:${path}`, dialect: () => sqliteDialect(path) };
}

/** How tests reach a PostgreSQL database. */
export function postgresAddress(url: string): Parameters<typeof postgresDialect>[0] {
  return { url, shownAs: new URL(url).host, maxConnections: 5, waitMs: 10_000, statementTimeoutMs: 20_000 };
}
