import { AsyncLocalStorage } from 'node:async_hooks';

/** What every line of a piece of work bears. */
export interface LogContext {
  /** The call that it is done for, or was begun by. */
  readonly request_id?: string;
  readonly task_id?: string;
}

const storage = new AsyncLocalStorage<LogContext>();

/** Does the work; every line that is logged meanwhile, also by what it begins, bears the context, beside that around it. */
export function withLogContext<T>(context: LogContext, work: () => T): T {
  return storage.run({ ...storage.getStore(), ...context }, work);
}

/** The context of the work that is being done now. */
export function logContext(): LogContext {
  return storage.getStore() ?? {};
}
