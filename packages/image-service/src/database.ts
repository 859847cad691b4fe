import type { Dialect } from 'kysely';
import { Kysely } from 'kysely';
import type { SchemaState } from './catalog/database/migrate.ts';
import { migrateDatabase, schemaState } from './catalog/database/migrate.ts';
import { BREAKING_CATALOG_MIGRATIONS, CATALOG_MIGRATIONS } from './catalog/database/migrations.ts';
import { lockPostgresTables, postgresDialect, requirePostgres } from './catalog/database/postgres.ts';
import { sqliteDialect } from './catalog/database/sqlite.ts';
import type { CatalogTables } from './catalog/database/tables.ts';
import type { DatabaseConfiguration } from './config/database.ts';
import type { JournalTables } from './flow/journal-tables.ts';
import { JOURNAL_MIGRATIONS } from './flow/journal-tables.ts';

const MIGRATIONS = { ...CATALOG_MIGRATIONS, ...JOURNAL_MIGRATIONS };

/** Every table of the service. */
export type Tables = CatalogTables & JournalTables;

/** Opens the configured database and brings its tables up to date. Throws `database_unreachable`, `database_version`. */
export async function openDatabase(
  configuration: DatabaseConfiguration,
  log: (message: string) => void,
): Promise<Kysely<Tables>> {
  const { db, schema } = await openSchema(configuration, log);
  if (schema.newer.length > 0) {
    log(`the database was changed by a newer version (${schema.newer.join(', ')}), which this one can work with`);
  }
  return db;
}

/** The database with what its tables were before they were brought up to date. Throws as `openDatabase`. */
async function openSchema(
  configuration: DatabaseConfiguration,
  log: (message: string) => void,
): Promise<{ readonly db: Kysely<Tables>; readonly schema: SchemaState }> {
  if (configuration.kind === 'postgres') await requirePostgres(configuration);
  const db = new Kysely<Tables>({ dialect: dialectOf(configuration, log) });
  try {
    const schema = await migrateDatabase(db, MIGRATIONS, {
      now: Date.now,
      breaking: BREAKING_CATALOG_MIGRATIONS,
      ...(configuration.kind === 'postgres' ? { lock: lockPostgresTables } : {}),
    });
    return { db, schema };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

function dialectOf(configuration: DatabaseConfiguration, log: (message: string) => void): Dialect {
  return configuration.kind === 'sqlite' ? sqliteDialect(configuration.path) : postgresDialect(configuration, log);
}

/** What stands between a configured database and this program. */
export interface DatabaseState extends SchemaState {
  /** Which database it is, without its password. */
  readonly database: string;
}

/** Looks at the tables and changes nothing. Throws as `openDatabase`. */
export async function databaseState(configuration: DatabaseConfiguration): Promise<DatabaseState> {
  if (configuration.kind === 'postgres') await requirePostgres(configuration);
  const db = new Kysely<Tables>({ dialect: dialectOf(configuration, () => {}) });
  try {
    return { database: nameOf(configuration), ...(await schemaState(db, MIGRATIONS)) };
  } finally {
    await db.destroy();
  }
}

/** Brings the tables up to date and gives what they were before. Throws as `openDatabase`. */
export async function upgradeDatabase(configuration: DatabaseConfiguration): Promise<DatabaseState> {
  const { db, schema } = await openSchema(configuration, () => {});
  await db.destroy();
  return { database: nameOf(configuration), ...schema };
}

function nameOf(configuration: DatabaseConfiguration): string {
  return configuration.kind === 'sqlite' ? configuration.path : configuration.shownAs;
}
