import type { Kysely } from 'kysely';

/** One change to the tables, made inside a transaction. */
export type Migration = (db: Kysely<unknown>) => Promise<void>;

/** The database was written by a newer program than this one. */
export class DatabaseVersionError extends Error {
  readonly code = 'database_version';
}

interface MigrationTables {
  schema_migrations: { name: string; applied_at: number };
}

/**
 * Brings the tables up to date: runs, once each and in the order of their names, the migrations not yet run, all in one
 * transaction, so that a crash or a second process in the middle finds the tables as before or as after. Throws
 * `DatabaseVersionError` when the database has seen migrations that are not among the given ones.
 */
export async function migrateDatabase<Tables>(
  database: Kysely<Tables>,
  migrations: Readonly<Record<string, Migration>>,
  now: () => number,
): Promise<void> {
  const db = database as unknown as Kysely<MigrationTables>;
  await db.transaction().execute(async (transaction) => {
    await transaction.schema
      .createTable('schema_migrations')
      .ifNotExists()
      .addColumn('name', 'varchar(64)', (column) => column.primaryKey())
      .addColumn('applied_at', 'bigint', (column) => column.notNull())
      .execute();
    const rows = await transaction.selectFrom('schema_migrations').select('name').execute();
    const applied = new Set(rows.map((row) => row.name));
    if ([...applied].some((name) => migrations[name] === undefined)) {
      throw new DatabaseVersionError(
        'The state database was written by a newer version of this program; use that version or another state database',
      );
    }
    for (const [name, migrate] of Object.entries(migrations).sort(([first], [second]) => (first < second ? -1 : 1))) {
      if (applied.has(name)) continue;
      await migrate(transaction as unknown as Kysely<unknown>);
      await transaction.insertInto('schema_migrations').values({ name, applied_at: now() }).execute();
    }
  });
}
