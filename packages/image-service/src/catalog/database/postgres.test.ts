import { Kysely, sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../../../fixtures/free-port.ts';
import { postgresAddress, testPostgres } from '../../../test/databases.ts';
import { isPostgresOutage, postgresDialect, toldApart } from './postgres.ts';

test('a connection that breaks in the middle of a transaction is an outage, and ends no process', async () => {
  const server = await testPostgres();
  const db = new Kysely<unknown>({
    dialect: postgresDialect(postgresAddress(await server.database()), () => {}),
  });
  const broken = db.transaction().execute(async (inside) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(inside);
    await server.command(`select pg_terminate_backend(${Number(rows[0]?.pid)}, 10000)`);
    // What the server said to the connection has arrived by then.
    await server.command('select 1');
    await sql`select 1`.execute(inside);
  });
  expect(isPostgresOutage(await broken.catch((error: unknown) => error))).toBe(true);
  expect((await sql<{ one: number }>`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  await db.destroy();
});

test.each(['127.0.0.1', 'localhost'])(
  'nobody who answers at %s is an outage, whatever stacks look like',
  async (host) => {
    const { stackTraceLimit } = Error;
    onTestFinished(() => void (Error.stackTraceLimit = stackTraceLimit));
    // The frames of a packed program name no packages.
    Error.stackTraceLimit = 0;
    const url = `postgres://somebody@${host}:${await freePort()}/somewhere`;
    const db = new Kysely<unknown>({ dialect: postgresDialect(postgresAddress(url), () => {}) });
    const refused: unknown = await sql`select 1`.execute(db).catch((error: unknown) => error);
    expect(isPostgresOutage(refused)).toBe(true);
    expect(String(refused)).toMatch(/ECONNREFUSED/);
    await db.destroy();
  },
);

test('another server that does not answer is no outage of the database', async () => {
  const refused: unknown = await fetch(`http://127.0.0.1:${await freePort()}`).catch((error: unknown) => error);
  const { cause } = refused as Error;
  expect(isPostgresOutage(cause)).toBe(false);
  expect(isPostgresOutage(await toldApart(Promise.reject(cause as Error)).catch((error: unknown) => error))).toBe(true);
});
