import { boolean, choice, integer, text } from './option-types.ts';
import type { Definitions } from './options.ts';

/** Who can reach the directories of staged data and of work. */
export const STAGING_SCOPES = ['shared', 'node'] as const;

/** The value of every option about the database and about several processes on it. */
export interface DatabaseOptionValues {
  readonly connection: string | undefined;
  readonly maxPoolSize: number;
  readonly poolTimeout: number;
  readonly statementTimeout: number;
  readonly runTasks: boolean;
  readonly maxWorkersPerProject: number;
  readonly nodeName: string | undefined;
  readonly stagingScope: (typeof STAGING_SCOPES)[number];
}

/** Every option about the database and about several processes on it. */
export const DATABASE_OPTIONS: Definitions<DatabaseOptionValues> = {
  connection: {
    section: 'database',
    name: 'connection',
    type: text,
    sample: 'postgres://diskmorph:password@db.example.org/diskmorph',
    secret: true,
    help: 'The database of images and tasks. postgres://... lets any number of processes on any number of machines work\ntogether; sqlite:/path, as [diskmorph] state_database, is for one. It wins over state_database.',
  },
  maxPoolSize: {
    section: 'database',
    name: 'max_pool_size',
    type: integer({ min: 2, max: 1000 }),
    default: '10',
    help: 'The most connections that one process keeps to PostgreSQL, beside 3 of its queue.',
  },
  poolTimeout: {
    section: 'database',
    name: 'pool_timeout',
    type: integer({ min: 1, max: 3600 }),
    default: '30',
    help: 'Seconds to wait for a connection to PostgreSQL.',
  },
  statementTimeout: {
    section: 'diskmorph',
    name: 'database_statement_timeout',
    type: integer({ min: 1, max: 3600 }),
    default: '60',
    help: 'Seconds after which PostgreSQL gives up a statement, also one that waits for a lock.',
  },
  runTasks: {
    section: 'diskmorph',
    name: 'run_tasks',
    type: boolean,
    default: 'true',
    help: '"diskmorph serve" also runs tasks. When false it serves the API alone, and "diskmorph worker" runs them; that\nneeds PostgreSQL.',
  },
  maxWorkersPerProject: {
    section: 'diskmorph',
    name: 'max_workers_per_project',
    type: integer({ min: 0, max: 1000 }),
    default: '0',
    help: 'How many tasks of one project run at the same time, over all processes; 0: no limit of its own.',
  },
  nodeName: {
    section: 'diskmorph',
    name: 'node_name',
    type: text,
    sample: 'node-1',
    help: 'What this machine is called in the database; its host name when not set. Unique where staging_scope is node.',
  },
  stagingScope: {
    section: 'diskmorph',
    name: 'staging_scope',
    type: choice(STAGING_SCOPES),
    default: 'shared',
    help: 'shared: every process reaches the same staging and work directories. node: each machine has its own, and what\nwas staged on a machine is imported there. With staged data on an S3 server it stays shared, wherever work directories lie.',
  },
};
