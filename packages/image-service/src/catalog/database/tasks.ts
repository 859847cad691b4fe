import type { Kysely, Selectable } from 'kysely';
import { CatalogError } from '../errors.ts';
import type { TaskQuery, TaskRepo } from '../repositories.ts';
import type { TaskDocument, TaskRecord } from '../task.ts';
import { changedTask, newTaskRecord, TASK_STATUSES, TASK_TYPES } from '../task.ts';
import { MAX_LIST_LENGTH } from './image-list.ts';
import type { CatalogTables, TaskRow } from './tables.ts';

/** The tasks in the database. `now` gives milliseconds since 1970. */
export function taskTable(db: Kysely<CatalogTables>, now: () => number): TaskRepo {
  return {
    async get(id) {
      const row = await db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst();
      if (row === undefined) throw new CatalogError('not_found', `There is no task ${id}`);
      return recordOf(row);
    },
    list: (query) => listTasks(db, query),
    async insert(task) {
      const record = newTaskRecord(task, now());
      await db.insertInto('tasks').values(rowOf(record)).execute();
      return record;
    },
    async save(task, changes) {
      const changed = changedTask(task, changes, now());
      const result = await db
        .updateTable('tasks')
        .set(rowOf(changed))
        .where('id', '=', task.id)
        .where('revision', '=', task.revision)
        .executeTakeFirst();
      if (result.numUpdatedRows === 1n) return changed;
      throw new CatalogError('conflict', `Task ${task.id} was changed by somebody else in the meantime`);
    },
    async removeExpired(before) {
      const rows = await db.deleteFrom('tasks').where('expires_at', '<', before).returning('id').execute();
      return rows.map((row) => row.id);
    },
  };
}

async function listTasks(db: Kysely<CatalogTables>, query: TaskQuery): Promise<readonly TaskRecord[]> {
  let rows = db.selectFrom('tasks').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc');
  if (query.status !== undefined) rows = rows.where('status', '=', query.status);
  if (query.imageId !== undefined) rows = rows.where('image_id', '=', query.imageId);
  if (query.type !== undefined) rows = rows.where('type', '=', query.type);
  if (query.owner !== undefined) rows = rows.where('owner', '=', query.owner);
  const { after } = query;
  if (after !== undefined) {
    rows = rows.where((row) =>
      row.or([
        row('created_at', '<', after.createdAt),
        row.and([row('created_at', '=', after.createdAt), row('id', '<', after.id)]),
      ]),
    );
  }
  const found = await rows.limit(Math.min(query.limit ?? MAX_LIST_LENGTH, MAX_LIST_LENGTH)).execute();
  return found.map(recordOf);
}

function rowOf(task: TaskRecord): TaskRow {
  return {
    id: task.id,
    type: task.type,
    status: task.status,
    owner: task.owner,
    input: JSON.stringify(task.input),
    result: task.result === null ? null : JSON.stringify(task.result),
    message: task.message,
    error_code: task.errorCode,
    image_id: task.imageId,
    request_id: task.requestId,
    user_id: task.userId,
    expires_at: task.expiresAt,
    created_at: task.createdAt,
    updated_at: task.updatedAt,
    revision: task.revision,
  };
}

function recordOf(row: Selectable<TaskRow>): TaskRecord {
  return {
    id: row.id,
    type: TASK_TYPES.find((type) => type === row.type) ?? 'import',
    status: TASK_STATUSES.find((status) => status === row.status) ?? 'failure',
    owner: row.owner,
    input: JSON.parse(row.input) as TaskDocument,
    result: row.result === null ? null : (JSON.parse(row.result) as TaskDocument),
    message: row.message,
    errorCode: row.error_code,
    imageId: row.image_id,
    requestId: row.request_id,
    userId: row.user_id,
    expiresAt: row.expires_at === null ? null : Number(row.expires_at),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    revision: Number(row.revision),
  };
}
