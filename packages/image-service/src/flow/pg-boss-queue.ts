import { createHash } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Db } from 'pg-boss';
import { fromKysely, PgBoss } from 'pg-boss';
import type { JobQueue, QueueEntry, TakenEntry } from './job-queue.ts';

/** How to open the queue. */
export interface PgBossQueueOptions {
  /** Of the database that the journal is in; holds the password. */
  readonly url: string;
  readonly waitMs: number;
  readonly statementTimeoutMs: number;
  /** This machine. */
  readonly node: string;
  /** Entries of one group that may be taken at the same time; any number when absent. */
  readonly maxPerGroup?: number;
  /** `takes`: this process runs jobs, and looks after the entries of holders that died. */
  readonly role: 'takes' | 'only puts';
  /** Hears of faults that pass: a connection that broke. */
  readonly onFault: (error: unknown) => void;
}

const SCHEMA = 'diskmorph_queue';
/** The queue for any machine; those of single machines are below it. */
const QUEUE = 'jobs';
/** A holder that is silent for so long is taken for dead; it speaks every `KEEP_SECONDS` (the engine). */
const SILENCE_SECONDS = 10;
/** As long as the queue allows; a job that takes longer is handed out again and goes on where it was. */
const LONGEST_HOLD_SECONDS = 24 * 3600 - 1;
const RETENTION_SECONDS = 365 * 24 * 3600;
const DONE_KEPT_SECONDS = 3600;
/** How often an entry may be handed out is not for the queue to say: the journal counts attempts. */
const ANY_NUMBER = 1_000_000;
const CONNECTIONS = 3;
/** Takings one after the other, so that two do not count the same group before either is counted. */
const TAKE_LOCK = 7_303_014_818;

/** The queue on pg-boss, in a schema of its own in the journal's database. */
export function pgBossQueue<Tables>(options: PgBossQueueOptions): JobQueue<Transaction<Tables>> {
  const { node, role } = options;
  const takes = role === 'takes';
  const boss = new PgBoss({
    connectionString: options.url,
    connectionTimeoutMillis: options.waitMs,
    options: `-c statement_timeout=${options.statementTimeoutMs}`,
    application_name: 'diskmorph queue',
    max: CONNECTIONS,
    schema: SCHEMA,
    schedule: false,
    supervise: takes,
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1,
    monitorVacuum: false,
    registerInstance: false,
  });
  // Without a listener a broken connection would end the process; what needed it meets the fault itself.
  boss.on('error', (error) => options.onFault(error));
  const made = new Set<string>();
  const queueFor = async (entryNode: string | null): Promise<string> => {
    const queue = entryNode === null ? QUEUE : `${QUEUE}/${entryNode}`;
    if (!made.has(queue)) await boss.createQueue(queue, QUEUE_SETTINGS);
    made.add(queue);
    return queue;
  };
  const ownQueues = [`${QUEUE}/${node}`, QUEUE];
  return {
    async open() {
      await boss.start();
      for (const each of [null, node]) await queueFor(each);
    },
    close: () => boss.stop({ graceful: false }),
    async put(entry, transaction) {
      const queue = await queueFor(entry.node);
      const db = transaction === undefined ? {} : { db: fromKysely(transaction) };
      await boss.send(queue, dataOf(entry), {
        id: entryId(entry.jobId),
        ...(entry.group === null ? {} : { group: { id: entry.group } }),
        ...db,
      });
    },
    take: () => takeEntry(boss, ownQueues, options.maxPerGroup),
    async keep(entries) {
      const kept = new Set<string>();
      for (const [queue, held] of Map.groupBy(entries, ({ place }) => place.queue)) {
        const places = held.map(({ place }) => ({ id: place.id, retryCount: place.retryCount }));
        for (const id of settledIds(await boss.touch(queue, places))) kept.add(id);
      }
      return entries.filter(({ place }) => kept.has(place.id));
    },
    async done({ place: { queue, ...place } }) {
      await boss.complete(queue, place);
    },
    async putBack({ place: { queue, ...place } }, afterSeconds) {
      await boss.fail(queue, place);
      if (afterSeconds > 0) await boss.update(queue, undefined, { id: place.id, startAfter: afterSeconds });
    },
    missing: (jobIds) => missingJobs(boss, jobIds),
  };
}

const QUEUE_SETTINGS = {
  heartbeatSeconds: SILENCE_SECONDS,
  expireInSeconds: LONGEST_HOLD_SECONDS,
  retentionSeconds: RETENTION_SECONDS,
  deleteAfterSeconds: DONE_KEPT_SECONDS,
  retryLimit: ANY_NUMBER,
  retryDelay: 0,
};

interface EntryData {
  readonly jobId: string;
  readonly flow: string;
}

function dataOf({ jobId, flow }: QueueEntry): EntryData {
  return { jobId, flow };
}

/** The queue wants UUIDs, which ids of jobs usually are. */
function entryId(jobId: string): string {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(jobId)) return jobId;
  const hex = createHash('sha256').update(jobId).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function takeEntry(
  boss: PgBoss,
  queues: readonly string[],
  maxPerGroup: number | undefined,
): Promise<TakenEntry | undefined> {
  if (maxPerGroup === undefined) return fetchFirst(boss, queues, {});
  const transaction = await boss.getDb().beginTransaction?.();
  if (transaction === undefined) throw new Error('assertion failed: the queue has a pool of its own');
  try {
    const { db } = transaction;
    await db.executeSql('select pg_advisory_xact_lock($1::bigint)', [TAKE_LOCK]);
    const taken = await fetchFirst(boss, queues, { db, ignoreGroups: await fullGroups(db, maxPerGroup) });
    await transaction.commit();
    return taken;
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

async function fullGroups(db: Db, maxPerGroup: number): Promise<string[]> {
  const { rows } = await db.executeSql(
    `select group_id from ${SCHEMA}.job where state = 'active' and group_id is not null
      group by group_id having count(*) >= $1`,
    [maxPerGroup],
  );
  return (rows as readonly { readonly group_id: string }[]).map((row) => row.group_id);
}

async function fetchFirst(
  boss: PgBoss,
  queues: readonly string[],
  options: { readonly db?: Db; readonly ignoreGroups?: string[] },
): Promise<TakenEntry | undefined> {
  for (const queue of queues) {
    const [entry] = await boss.fetch<EntryData>(queue, options);
    if (entry === undefined) continue;
    const { id, retryCount, data } = entry;
    return { ...data, place: { queue, id, retryCount } };
  }
  return undefined;
}

async function missingJobs(boss: PgBoss, jobIds: readonly string[]): Promise<readonly string[]> {
  const ids = new Map(jobIds.map((jobId) => [entryId(jobId), jobId]));
  const { rows } = await boss
    .getDb()
    .executeSql(`select id, name, state from ${SCHEMA}.job where id = any($1::uuid[])`, [[...ids.keys()]]);
  for (const { id, name, state } of rows as readonly { id: string; name: string; state: string }[]) {
    if (WAITING_STATES.has(state)) ids.delete(id);
    // Its place is needed for the new entry.
    else await boss.deleteJob(name, id);
  }
  return [...ids.values()];
}

const WAITING_STATES: ReadonlySet<string> = new Set(['created', 'retry', 'active']);

function settledIds(response: object): readonly string[] {
  if ('settled' in response && Array.isArray(response.settled)) return response.settled.map(String);
  throw new Error('assertion failed: the queue tells which entries are still held');
}
