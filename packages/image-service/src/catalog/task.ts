import { CatalogError } from './errors.ts';

/** Every state that a task can be in. */
export const TASK_STATUSES = ['pending', 'processing', 'success', 'failure'] as const;
/** The state of a task. */
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** The states that may follow each state. spec/convert-flow.md, "Records". */
export const TASK_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  pending: ['processing', 'failure'],
  processing: ['success', 'failure'],
  success: [],
  failure: [],
};

/** A value that JSON can hold. */
export type TaskJson = string | number | boolean | null | readonly TaskJson[] | { readonly [key: string]: TaskJson };
/** Named values that JSON can hold. */
export type TaskDocument = { readonly [key: string]: TaskJson };

/** What tasks do. */
export const TASK_TYPES = ['import', 'api_image_import', 'api_image_convert', 'location_import'] as const;
/** One of `TASK_TYPES`. */
export type TaskType = (typeof TASK_TYPES)[number];

/** What is known of one task. Times in milliseconds since 1970. */
export interface TaskRecord {
  readonly id: string;
  readonly type: TaskType;
  readonly status: TaskStatus;
  readonly owner: string | null;
  readonly input: TaskDocument;
  /** `{"image_id": ...}` on success. */
  readonly result: TaskDocument | null;
  /** For people: why it failed, or what is worth knowing about a success. Empty until there is something to say. */
  readonly message: string;
  /** Stable code of the failure; null unless the task failed. */
  readonly errorCode: string | null;
  readonly imageId: string | null;
  readonly requestId: string | null;
  readonly userId: string | null;
  /** End + the time to live; null while the task runs. */
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Grows by one with each save. */
  readonly revision: number;
}

type KeptFields = 'id' | 'type' | 'createdAt' | 'updatedAt' | 'revision' | 'input';
/** New values for some fields of a task. */
export type TaskChanges = Partial<Omit<TaskRecord, KeptFields>>;
/** What a new task needs; it begins `pending`, at revision 1. */
export type NewTask = Pick<TaskRecord, 'id' | 'type' | 'input'> &
  Partial<Pick<TaskRecord, 'owner' | 'imageId' | 'requestId' | 'userId'>>;

/** A new task as it is first recorded, at `now`. */
export function newTaskRecord(task: NewTask, now: number): TaskRecord {
  return {
    owner: null,
    imageId: null,
    requestId: null,
    userId: null,
    ...task,
    status: 'pending',
    result: null,
    message: '',
    errorCode: null,
    expiresAt: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  };
}

/** The task with the changes made, one revision further. Throws `forbidden_change` for a state that may not follow. */
export function changedTask(task: TaskRecord, changes: TaskChanges, now: number): TaskRecord {
  const status = changes.status ?? task.status;
  if (status !== task.status && !TASK_TRANSITIONS[task.status].includes(status)) {
    throw new CatalogError('forbidden_change', `A task that is ${task.status} cannot become ${status}`);
  }
  return { ...task, ...changes, updatedAt: now, revision: task.revision + 1 };
}
