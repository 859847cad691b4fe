import type { Kysely } from 'kysely';

/** One row for each job; `input`, `failure`, `warnings` and `progress` are JSON. */
export interface JobRow {
  id: string;
  flow: string;
  input: string;
  state: string;
  epoch: number;
  cancel_requested: number;
  failure: string | null;
  warnings: string;
  progress: string | null;
  created_at: number;
  updated_at: number;
  ended_at: number | null;
  job_group: string | null;
  node: string | null;
}

/** One row for each step that has begun; `output` and the failures are JSON. */
export interface JobStepRow {
  job_id: string;
  position: number;
  name: string;
  state: string;
  attempts: number;
  revert_attempts: number;
  output: string | null;
  failure: string | null;
  revert_failure: string | null;
  started_at: number;
  updated_at: number;
}

/** The journal's tables. */
export interface JournalTables {
  jobs: JobRow;
  job_steps: JobStepRow;
}

/** Every change to the journal's tables, by name; one that was released is never edited. */
export const JOURNAL_MIGRATIONS: Readonly<Record<string, (db: Kysely<unknown>) => Promise<void>>> = {
  '0001-journal': createJournal,
  '0007-journal-groups-and-nodes': addGroupsAndNodes,
};

async function createJournal(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('jobs')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('flow', 'varchar(64)', (column) => column.notNull())
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('cancel_requested', 'integer', (column) => column.notNull())
    .addColumn('failure', 'text')
    .addColumn('warnings', 'text', (column) => column.notNull())
    .addColumn('progress', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('ended_at', 'bigint')
    .execute();
  await db.schema.createIndex('jobs_by_state').on('jobs').columns(['state', 'created_at']).execute();
  await db.schema
    .createTable('job_steps')
    .addColumn('job_id', 'varchar(36)', (column) => column.notNull().references('jobs.id'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', 'varchar(128)', (column) => column.notNull())
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('revert_attempts', 'integer', (column) => column.notNull())
    .addColumn('output', 'text')
    .addColumn('failure', 'text')
    .addColumn('revert_failure', 'text')
    .addColumn('started_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('job_steps_key', ['job_id', 'position'])
    .execute();
}

async function addGroupsAndNodes(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('jobs').addColumn('job_group', 'varchar(255)').execute();
  await db.schema.alterTable('jobs').addColumn('node', 'varchar(64)').execute();
}
