import type { Kysely, PostgresPoolClient } from 'kysely';
import { PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { Migration } from './migrate.ts';

/** How to reach a PostgreSQL server. Times in milliseconds. */
export interface PostgresAddress {
  /** `postgres://user:password@host:port/database`; never shown. */
  readonly url: string;
  /** The same for messages, without user and password. */
  readonly shownAs: string;
  readonly maxConnections: number;
  /** How long to wait for a connection. */
  readonly waitMs: number;
  readonly statementTimeoutMs: number;
}

/** The database does not let us in, or does not answer; the message says why, without the password. */
export class DatabaseUnreachableError extends Error {
  readonly code = 'database_unreachable';

  constructor(address: Pick<PostgresAddress, 'shownAs'>, cause: unknown) {
    super(`The database ${address.shownAs} cannot be used: ${reasonOf(cause)}`);
    this.name = 'DatabaseUnreachableError';
  }
}

/** OIDs of the types that come as text and are numbers here: bigint and numeric (what sums of bigint are). */
const NUMBERS: ReadonlySet<number> = new Set([20, 1700]);

/**
 * Kysely on PostgreSQL. Numbers stay below 2^53 and come back as such. A connection that breaks while nobody uses it is
 * told to `onFault` and replaced by the next use.
 */
export function postgresDialect(address: PostgresAddress, onFault: (message: string) => void): PostgresDialect {
  return new PostgresDialect({
    pool: async () => {
      const pool = new pg.Pool({ ...postgresConnection(address), max: address.maxConnections });
      pool.on('error', (error) => onFault(`a connection to the database was lost: ${error.message}`));
      // In use, but between two statements: the next one meets the fault. Nobody else listens, and that would end the process.
      pool.on('connect', (client) => client.on('error', () => {}));
      return {
        options: pool.options,
        connect: async () => clientThatTells(await toldApart(pool.connect())),
        end: () => pool.end(),
      };
    },
  });
}

function clientThatTells(client: pg.PoolClient): PostgresPoolClient {
  const query = (sql: string, parameters: readonly unknown[]): unknown => toldApart(client.query(sql, [...parameters]));
  return { query: query as PostgresPoolClient['query'], release: (destroy) => client.release(destroy) };
}

/** A connection to the database could not be made, or broke: what was asked of it is not to blame. */
class DatabaseAwayError extends Error {
  readonly code = 'database_away';

  constructor(cause: Error) {
    super(`The database is away: ${reasonOf(cause)}`, { cause });
    this.name = 'DatabaseAwayError';
  }
}

/**
 * What is asked of the database. Connections to other servers break with the same codes, so that these faults are told apart
 * here, where it is known whose they are.
 */
export async function toldApart<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    const isFault = error instanceof Error && 'code' in error && CONNECTION_FAULTS.has(String(error.code));
    throw isFault ? new DatabaseAwayError(error) : error;
  }
}

/** What every connection has, whoever opens it. */
export function postgresConnection(address: PostgresAddress): pg.ClientConfig {
  return {
    connectionString: address.url,
    application_name: 'diskmorph',
    connectionTimeoutMillis: address.waitMs,
    statement_timeout: address.statementTimeoutMs,
    // A process that froze inside a transaction must not hold its locks for ever.
    idle_in_transaction_session_timeout: address.statementTimeoutMs,
    keepAlive: true,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        NUMBERS.has(oid) ? Number : pg.types.getTypeParser(oid, format as 'text'),
    } as pg.CustomTypesConfig,
  };
}

/** Throws `database_unreachable` unless the database answers. */
export async function requirePostgres(address: PostgresAddress): Promise<void> {
  const client = new pg.Client(postgresConnection(address));
  // What breaks later is told by the query that meets it.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
  } catch (error) {
    throw new DatabaseUnreachableError(address, error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Any number that nobody else who shares the database is likely to use. */
const MIGRATION_LOCK = 7_303_014_817;

/** Holds off other processes that would change the tables, until the transaction ends. */
export const lockPostgresTables: Migration = async (transaction: Kysely<unknown>) => {
  // Whoever waits here waits for tables to be changed, which may take longer than any statement else.
  await sql`set local statement_timeout = 0`.execute(transaction);
  await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK}::bigint)`.execute(transaction);
};

/** Classes of SQLSTATE that pass by themselves: connection, rollback by the server, resources, shutdown and start. */
const PASSING_STATES = /^(?:08|40|53|57P)/;
const CONNECTION_FAULTS: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
const CONNECTION_MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after)/;

/** Is it the database that cannot be reached, or could not do this now, whatever was asked of it? */
export function isPostgresOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof pg.DatabaseError) return PASSING_STATES.test(error.code ?? '');
  return error instanceof DatabaseAwayError || CONNECTION_MESSAGES.test(error.message);
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  if (!(error instanceof Error)) return String(error);
  return error.message === '' && 'code' in error ? String(error.code) : error.message;
}
