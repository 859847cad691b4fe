import { hostname } from 'node:os';
import type { DatabaseOptionValues } from './database-options.ts';
import { DATABASE_OPTIONS } from './database-options.ts';
import { OPTIONS } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The database as configured; times in milliseconds. */
export type DatabaseConfiguration =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'postgres';
      /** Holds the password: never shown. */
      readonly url: string;
      /** For messages: `host:port/name`. */
      readonly shownAs: string;
      readonly maxConnections: number;
      readonly waitMs: number;
      readonly statementTimeoutMs: number;
    };

/** How processes share the work. */
export interface SharedWorkConfiguration {
  readonly nodeName: string;
  /** What lies on a machine is only reached there. */
  readonly stagingScope: DatabaseOptionValues['stagingScope'];
  /** 0: no limit. */
  readonly maxWorkersPerProject: number;
  readonly runTasks: boolean;
}

/** The options about the database, checked together; `stateDatabase` is what [diskmorph] state_database says. */
export function readDatabase(
  reader: ValueReader,
  stateDatabase: string,
): { readonly database: DatabaseConfiguration; readonly sharedWork: SharedWorkConfiguration } {
  const connection = reader.read(DATABASE_OPTIONS.connection);
  const database =
    connection !== undefined && /^postgres/i.test(connection)
      ? readPostgres(reader, connection)
      : { kind: 'sqlite' as const, path: readSqlitePath(reader, connection, stateDatabase) };
  return { database, sharedWork: readSharedWork(reader, database) };
}

function readPostgres(reader: ValueReader, connection: string): DatabaseConfiguration {
  const { problems } = reader;
  const { section, name: option } = DATABASE_OPTIONS.connection;
  // Files of other services name the driver too: postgresql+psycopg2://.
  const url = URL.parse(connection.replace(/^postgres(?:ql)?(?:\+\w+)?:/i, 'postgres:'));
  const name = url?.pathname.replace(/^\//, '') ?? '';
  if (url === null || name === '') {
    const message = 'must be postgres://user:password@host:port/database';
    problems.push({ section, option, value: '(not shown)', message });
  }
  return {
    kind: 'postgres',
    url: url?.href ?? '',
    shownAs: `${url?.hostname ?? ''}${url?.port ? `:${url.port}` : ''}/${name}`,
    maxConnections: reader.read(DATABASE_OPTIONS.maxPoolSize) ?? 2,
    waitMs: (reader.read(DATABASE_OPTIONS.poolTimeout) ?? 1) * 1000,
    statementTimeoutMs: (reader.read(DATABASE_OPTIONS.statementTimeout) ?? 1) * 1000,
  };
}

function readSqlitePath(reader: ValueReader, connection: string | undefined, stateDatabase: string): string {
  const text = connection ?? stateDatabase;
  const path = /^sqlite:(?:\/\/)?\/*(\/[^\0]+)$/.exec(text)?.[1];
  if (path !== undefined) return path;
  const { section, name: option } = connection === undefined ? OPTIONS.stateDatabase : DATABASE_OPTIONS.connection;
  const message = 'must be "sqlite:" and an absolute path, such as sqlite:/var/lib/diskmorph/state.db';
  const scheme = /^[\w+]*:/.exec(text)?.[0] ?? '';
  reader.problems.push({
    section,
    option,
    value: connection === undefined ? text : `${scheme}(not shown)`,
    message: connection === undefined ? message : `${message}, or postgres://user:password@host/database`,
  });
  return '';
}

function readSharedWork(reader: ValueReader, database: DatabaseConfiguration): SharedWorkConfiguration {
  const runTasks = reader.read(DATABASE_OPTIONS.runTasks) ?? true;
  const nodeName = reader.read(DATABASE_OPTIONS.nodeName) ?? hostname();
  if (!/^[\w.-]{1,64}$/.test(nodeName)) {
    const { section, name: option } = DATABASE_OPTIONS.nodeName;
    const message = 'must be 1 to 64 letters, digits, dots, hyphens and underscores';
    reader.problems.push({ section, option, value: nodeName, message });
  }
  if (!runTasks && database.kind === 'sqlite') {
    const { section, name: option } = DATABASE_OPTIONS.runTasks;
    const message = 'needs [database] connection = postgres://...: with SQLite no other process could run the tasks';
    reader.problems.push({ section, option, value: 'false', message });
  }
  return {
    nodeName,
    stagingScope: reader.read(DATABASE_OPTIONS.stagingScope) ?? 'shared',
    maxWorkersPerProject: reader.read(DATABASE_OPTIONS.maxWorkersPerProject) ?? 0,
    runTasks,
  };
}
