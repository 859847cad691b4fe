import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Failure } from './failure.ts';
import { FlowError } from './failure.ts';
import type { Claim, JobGlimpse, JobRecord, JobState, NewJob, StepRecord } from './job.ts';
import { FINAL_STATES, JOB_STATES, STEP_STATES } from './job.ts';
import type { FailDetails, Journal, StepClaim } from './journal.ts';
import type { JobRow, JobStepRow, JournalTables } from './journal-tables.ts';
import type { JsonObject } from './json.ts';
import type { JobProgress } from './progress.ts';

type Database = Kysely<JournalTables>;

/** The journal in a migrated database, whichever it is. `now` gives milliseconds since 1970. */
export function databaseJournal<Tables extends JournalTables>(
  database: Kysely<Tables>,
  now: () => number,
): Journal<Transaction<Tables>> {
  // The journal uses its own tables alone, whatever others live in the same database.
  const db = database as unknown as Database;
  const write = (
    claim: Claim,
    changes: Partial<JobRow>,
    more?: (inside: Database) => Promise<unknown>,
  ): Promise<void> =>
    db.transaction().execute(async (inside) => {
      await fencedUpdate(inside, claim, { ...changes, updated_at: now() });
      await more?.(inside);
    });
  const step = (claim: StepClaim, changes: Partial<JobStepRow>): ((inside: Database) => Promise<unknown>) => {
    return (inside) => updateStep(inside, claim, { ...changes, updated_at: now() });
  };
  return {
    submit: (job, transaction) => insertJob((transaction as unknown as Database | undefined) ?? db, job, now()),
    get: (id) => readJob(db, id),
    unfinished: () => unfinishedJobs(db),
    countUnfinished: () => countJobs(db),
    glimpse: (which) => glimpseJobs(db, which),
    async bindToNode(id, node) {
      await db.updateTable('jobs').set({ node }).where('id', '=', id).execute();
    },
    hold: (claim, transaction) => fencedUpdate(transaction as unknown as Database, claim, { updated_at: now() }),
    async requestCancel(id) {
      await db.updateTable('jobs').set({ cancel_requested: 1 }).where('id', '=', id).execute();
    },
    claim: (id) => db.transaction().execute((inside) => claimJob(inside, id, now())),
    setState: (claim, state) =>
      write(claim, FINAL_STATES.includes(state) ? { state, ended_at: now(), progress: null } : { state }),
    beginStep: (claim, name) => write(claim, {}, (inside) => beginStep(inside, claim, { name, at: now() })),
    finishStep: (claim, output, warnings) =>
      write(claim, { warnings: JSON.stringify(warnings) }, step(claim, finishedStep(output))),
    restart: (claim) => write(claim, {}, (inside) => unfinishSteps(inside, claim, now())),
    pauseStep: (claim) => write(claim, {}, (inside) => uncountAttempt(inside, claim)),
    fail: (claim, failure, more) => write(claim, ...failedJob(claim, failure, { ...more, at: now() })),
    beginRevert: (claim) => write(claim, {}, (inside) => beginRevert(inside, claim, now())),
    finishRevert: (claim, failure) => write(claim, {}, step(claim, revertedStep(failure))),
    async saveProgress(claim, progress) {
      await write(claim, { progress: JSON.stringify(progress) });
      const row = await db
        .selectFrom('jobs')
        .select('cancel_requested')
        .where('id', '=', claim.jobId)
        .executeTakeFirst();
      return { cancelRequested: row?.cancel_requested === 1 };
    },
    forget: (ids) => forgetJobs(db, ids),
  };
}

async function fencedUpdate(db: Database, claim: Claim, changes: Partial<JobRow>): Promise<void> {
  const result = await db
    .updateTable('jobs')
    .set(changes)
    .where('id', '=', claim.jobId)
    .where('epoch', '=', claim.epoch)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) {
    throw new FlowError('fenced', `Job ${claim.jobId} was taken over after epoch ${claim.epoch}`);
  }
}

async function insertJob(db: Database, job: NewJob, at: number): Promise<void> {
  await db
    .insertInto('jobs')
    .values({
      id: job.id,
      flow: job.flow,
      input: JSON.stringify(job.input),
      state: 'queued',
      epoch: 0,
      cancel_requested: 0,
      failure: null,
      warnings: '[]',
      progress: null,
      created_at: at,
      updated_at: at,
      ended_at: null,
      job_group: job.group ?? null,
      node: job.node ?? null,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

async function countJobs(db: Database): Promise<Partial<Record<JobState, number>>> {
  const rows = await db
    .selectFrom('jobs')
    .select((row) => ['state', row.fn.countAll<number | string>().as('count')])
    .where('state', 'not in', FINAL_STATES)
    .groupBy('state')
    .execute();
  // PostgreSQL counts in 64 bits, which its driver gives as text.
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
}

async function unfinishedJobs(db: Database): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('jobs')
    .select('id')
    .where('state', 'not in', FINAL_STATES)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => row.id);
}

const GLIMPSED = ['id', 'flow', 'job_group', 'node', 'state', 'epoch', 'cancel_requested', 'progress'] as const;

async function glimpseJobs(db: Database, which: readonly string[] | 'unfinished'): Promise<readonly JobGlimpse[]> {
  if (which.length === 0) return [];
  const rows = await db
    .selectFrom('jobs')
    .select(GLIMPSED)
    .where((row) => (which === 'unfinished' ? row('state', 'not in', FINAL_STATES) : row('id', 'in', [...which])))
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map(glimpseOf);
}

async function claimJob(db: Database, id: string, at: number): Promise<JobRecord | undefined> {
  const job = await readJob(db, id);
  if (job === undefined || FINAL_STATES.includes(job.state)) return undefined;
  await fencedUpdate(db, { jobId: id, epoch: job.epoch }, { epoch: job.epoch + 1, updated_at: at });
  return { ...job, epoch: job.epoch + 1 };
}

async function beginStep(db: Database, claim: StepClaim, begun: { name: string; at: number }): Promise<void> {
  await db
    .insertInto('job_steps')
    .values({
      job_id: claim.jobId,
      position: claim.position,
      name: begun.name,
      state: 'running',
      attempts: 1,
      revert_attempts: 0,
      output: null,
      failure: null,
      revert_failure: null,
      started_at: begun.at,
      updated_at: begun.at,
    })
    .onConflict((conflict) =>
      conflict.columns(['job_id', 'position']).doUpdateSet((row) => ({
        attempts: row('job_steps.attempts', '+', 1),
        state: 'running',
        updated_at: begun.at,
      })),
    )
    .execute();
}

async function updateStep(db: Database, claim: StepClaim, changes: Partial<JobStepRow>): Promise<void> {
  await db
    .updateTable('job_steps')
    .set(changes)
    .where('job_id', '=', claim.jobId)
    .where('position', '=', claim.position)
    .execute();
}

function finishedStep(output: JsonObject): Partial<JobStepRow> {
  return { state: 'finished', output: JSON.stringify(output) };
}

async function unfinishSteps(db: Database, { jobId }: Claim, at: number): Promise<void> {
  await db
    .updateTable('job_steps')
    .set({ state: 'running', output: null, updated_at: at })
    .where('job_id', '=', jobId)
    .where('state', '=', 'finished')
    .execute();
}

function revertedStep(failure: Failure | undefined): Partial<JobStepRow> {
  if (failure === undefined) return { state: 'reverted' };
  return { state: 'revert_failed', revert_failure: JSON.stringify(failure) };
}

async function uncountAttempt(db: Database, claim: StepClaim): Promise<void> {
  await db
    .updateTable('job_steps')
    .set((row) => ({ attempts: row('attempts', '-', 1) }))
    .where('job_id', '=', claim.jobId)
    .where('position', '=', claim.position)
    .execute();
}

async function beginRevert(db: Database, claim: StepClaim, at: number): Promise<void> {
  await db
    .updateTable('job_steps')
    .set((row) => ({ state: 'reverting', revert_attempts: row('revert_attempts', '+', 1), updated_at: at }))
    .where('job_id', '=', claim.jobId)
    .where('position', '=', claim.position)
    .execute();
}

function failedJob(
  claim: Claim,
  failure: Failure,
  more: FailDetails & { readonly at: number },
): [Partial<JobRow>, (inside: Database) => Promise<unknown>] {
  const state: JobState = 'reverting';
  const text = JSON.stringify(failure);
  const { failedPosition: position, at } = more;
  return [
    { state, failure: text, warnings: JSON.stringify(more.warnings) },
    async (inside) => {
      if (position === undefined) return;
      await updateStep(inside, { ...claim, position }, { state: 'failed', failure: text, updated_at: at });
    },
  ];
}

async function forgetJobs(db: Database, ids: readonly string[]): Promise<void> {
  await db.transaction().execute(async (inside) => {
    for (const id of ids) {
      const job = await inside.selectFrom('jobs').select('state').where('id', '=', id).executeTakeFirst();
      if (!FINAL_STATES.some((state) => state === job?.state)) continue;
      await inside.deleteFrom('job_steps').where('job_id', '=', id).execute();
      await inside.deleteFrom('jobs').where('id', '=', id).execute();
    }
  });
}

async function readJob(db: Database, id: string): Promise<JobRecord | undefined> {
  const row = await db.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) return undefined;
  const steps = await db.selectFrom('job_steps').selectAll().where('job_id', '=', id).orderBy('position').execute();
  return jobOf(row, steps.map(stepOf));
}

function glimpseOf(row: Pick<Selectable<JobRow>, (typeof GLIMPSED)[number]>): JobGlimpse {
  const state = JOB_STATES.find((candidate) => candidate === row.state);
  if (state === undefined) throw new Error(`assertion failed: job ${row.id} has a known state`);
  return {
    id: row.id,
    flow: row.flow,
    group: row.job_group,
    node: row.node,
    state,
    epoch: Number(row.epoch),
    cancelRequested: row.cancel_requested === 1,
    progress: row.progress === null ? null : (JSON.parse(row.progress) as JobProgress),
  };
}

function jobOf(row: Selectable<JobRow>, steps: readonly StepRecord[]): JobRecord {
  return {
    ...glimpseOf(row),
    input: JSON.parse(row.input) as JsonObject,
    failure: failureOf(row.failure),
    warnings: JSON.parse(row.warnings) as readonly string[],
    steps,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    endedAt: row.ended_at === null ? null : Number(row.ended_at),
  };
}

function stepOf(row: Selectable<JobStepRow>): StepRecord {
  const state = STEP_STATES.find((candidate) => candidate === row.state);
  if (state === undefined) throw new Error(`assertion failed: step ${row.name} has a known state`);
  return {
    position: row.position,
    name: row.name,
    state,
    attempts: row.attempts,
    revertAttempts: row.revert_attempts,
    output: row.output === null ? null : (JSON.parse(row.output) as JsonObject),
    failure: failureOf(row.failure),
    revertFailure: failureOf(row.revert_failure),
  };
}

function failureOf(text: string | null): Failure | null {
  return text === null ? null : (JSON.parse(text) as Failure);
}
