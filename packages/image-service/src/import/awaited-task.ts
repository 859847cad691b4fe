import type { Engine } from '../flow/engine.ts';
import type { ImportParts } from './stage-context.ts';

/** A task that somebody waited for did not succeed, for its own reason; or the service stopped first (`unavailable`). */
export class TaskFailedError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'TaskFailedError';
    this.code = code;
  }
}

/** Waits for the success of a task. The task goes on whether anybody waits or not. Throws `TaskFailedError`. */
export async function awaitTask<T>({ catalog }: ImportParts<T>, engine: Engine<T>, taskId: string): Promise<void> {
  await engine.wait(taskId);
  const ended = await catalog.tasks.get(taskId);
  if (ended.status === 'failure') throw new TaskFailedError(ended.errorCode ?? 'internal', ended.message);
  if (ended.status !== 'success') {
    throw new TaskFailedError('unavailable', 'The service stops; it goes on with the image when it is started again');
  }
}
