import { readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { FlowError } from './failure.ts';

/** The right to be the only engine; freed by `release` and by the death of the process, however it dies. */
export interface EngineLock {
  release(): void;
}

/**
 * Takes the lock that the file at `path` stands for. Throws `locked` at once when another process has it, naming that
 * process. SQLite's own file lock is used: the system frees it with the process.
 */
export function acquireEngineLock(path: string): EngineLock {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('pragma locking_mode = exclusive; begin exclusive');
  } catch (error) {
    database.close();
    if (!(error instanceof Error && /locked|busy/i.test(error.message))) throw error;
    throw new FlowError(
      'locked',
      `Another process${ownerOf(path)} is at work on this state; wait until it ends, or use another state directory`,
    );
  }
  writeFileSync(ownerPath(path), String(process.pid));
  return { release: () => database.close() };
}

function ownerPath(path: string): string {
  return `${path}.pid`;
}

function ownerOf(path: string): string {
  try {
    return ` (process ${Number.parseInt(readFileSync(ownerPath(path), 'utf8'), 10)})`;
  } catch {
    return '';
  }
}
