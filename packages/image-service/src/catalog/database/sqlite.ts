import { DatabaseSync } from 'node:sqlite';
import type { SqliteDatabase } from 'kysely';
import { SqliteDialect } from 'kysely';

type SqlValue = string | number | bigint | null | Uint8Array;

/** How long a statement waits for another process that is writing. */
const BUSY_TIMEOUT_MS = 5000;

/** SQLite rolls back by itself when the disk is full; a second rollback would be an error that hides the first. */
const NOTHING_CHANGED = { changes: 0, lastInsertRowid: 0 };

/**
 * Kysely on Node's own SQLite. Commits are on the disk when they return (WAL, synchronous=full). The file is made when
 * it is missing; its directory must exist.
 */
export function sqliteDialect(path: string): SqliteDialect {
  return new SqliteDialect({ database: async () => openSqlite(path) });
}

function openSqlite(path: string): SqliteDatabase {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  database.exec('pragma journal_mode = wal; pragma synchronous = full');
  return {
    close: () => database.close(),
    prepare(sql) {
      // A transaction that reads before it writes could not become a writer once another process wrote in between.
      const statement = database.prepare(sql === 'begin' ? 'begin immediate' : sql);
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as SqlValue[])),
        run: (parameters) =>
          sql === 'rollback' && !database.isTransaction
            ? NOTHING_CHANGED
            : statement.run(...(parameters as SqlValue[])),
        iterate: (parameters) => statement.iterate(...(parameters as SqlValue[])),
      };
    },
  };
}
