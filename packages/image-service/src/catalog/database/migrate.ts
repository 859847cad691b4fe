import type { Kysely } from 'kysely';

/** One change to the tables, made inside a transaction. */
export type Migration = (db: Kysely<unknown>) => Promise<void>;

/** The database was written by a newer program than this one. */
export class DatabaseVersionError extends Error {
  readonly code = 'database_version';
}

interface MigrationTables {
  schema_migrations: { name: string; applied_at: number };
  schema_breaks: { name: string };
}

/** How to bring tables up to date. */
export interface MigrationOptions {
  readonly now: () => number;
  /** Names of migrations that a program without them cannot live with. All others only add, and older programs go on. */
  readonly breaking?: ReadonlySet<string>;
  /** Holds off others who would change the tables; inside the transaction, before anything is read. */
  readonly lock?: Migration;
}

/** What stands between the tables and this program. */
export interface SchemaState {
  readonly applied: readonly string[];
  /** Known here and not yet applied, in their order. */
  readonly missing: readonly string[];
  /** Applied by a newer program, and of no harm to this one. */
  readonly newer: readonly string[];
}

/**
 * Brings the tables up to date: runs, once each and in the order of their names, the migrations not yet run, all in one
 * transaction, so that a crash or a second process in the middle finds the tables as before or as after. Throws
 * `DatabaseVersionError` when the database has seen a breaking migration that is not among the given ones. Gives the state
 * before.
 */
export async function migrateDatabase<Tables>(
  database: Kysely<Tables>,
  migrations: Readonly<Record<string, Migration>>,
  { now, breaking = new Set(), lock }: MigrationOptions,
): Promise<SchemaState> {
  const db = database as unknown as Kysely<MigrationTables>;
  return db.transaction().execute(async (transaction) => {
    await lock?.(transaction as unknown as Kysely<unknown>);
    await createMigrationTables(transaction);
    const state = await readState(transaction, migrations);
    for (const name of state.missing) {
      await migrations[name]?.(transaction as unknown as Kysely<unknown>);
      await transaction.insertInto('schema_migrations').values({ name, applied_at: now() }).execute();
      if (breaking.has(name)) await transaction.insertInto('schema_breaks').values({ name }).execute();
    }
    return state;
  });
}

/** What stands between the tables and a program, without changing anything. Throws `DatabaseVersionError`. */
export async function schemaState<Tables>(
  database: Kysely<Tables>,
  migrations: Readonly<Record<string, Migration>>,
): Promise<SchemaState> {
  const db = database as unknown as Kysely<MigrationTables>;
  const tables = new Set((await db.introspection.getTables()).map((table) => table.name));
  if (tables.has('schema_breaks')) return readState(db, migrations);
  return { applied: [], missing: Object.keys(migrations).sort(), newer: [] };
}

async function createMigrationTables(db: Kysely<MigrationTables>): Promise<void> {
  await db.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('name', 'varchar(64)', (column) => column.primaryKey())
    .addColumn('applied_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('schema_breaks')
    .ifNotExists()
    .addColumn('name', 'varchar(64)', (column) => column.primaryKey())
    .execute();
}

async function readState(
  db: Kysely<MigrationTables>,
  migrations: Readonly<Record<string, Migration>>,
): Promise<SchemaState> {
  const applied = (await db.selectFrom('schema_migrations').select('name').execute()).map((row) => row.name);
  const breaks = (await db.selectFrom('schema_breaks').select('name').execute()).map((row) => row.name);
  const unknown = breaks.filter((name) => migrations[name] === undefined);
  if (unknown.length > 0) {
    throw new DatabaseVersionError(
      `The database was changed by a newer version of this program (${unknown.join(', ')}) in a way that this one cannot work with; use that version or another database`,
    );
  }
  const missing = Object.keys(migrations)
    .filter((name) => !applied.includes(name))
    .sort();
  return {
    applied: applied.toSorted(),
    missing,
    newer: applied.filter((name) => migrations[name] === undefined).toSorted(),
  };
}
