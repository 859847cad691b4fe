import { Kysely, sql } from 'kysely';
import { expect, test } from 'vitest';
import { postgresAddress, testPostgres } from '../../../test/databases.ts';
import { isPostgresOutage, postgresDialect } from './postgres.ts';

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
