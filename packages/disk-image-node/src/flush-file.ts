import { fsync } from 'node:fs';
import { promisify } from 'node:util';
import { systemCalls } from './system-calls.ts';

const syncFile = promisify(fsync);

/**
 * Brings what was written through the descriptor to stable storage. Node refuses its own call for that under its
 * permission model ("fsync API is disabled when Permission Model is enabled", 26.10); then the system's is used. Throws
 * the system's error.
 */
export async function flushFile(fd: number): Promise<void> {
  if (process.permission === undefined) return syncFile(fd);
  systemCalls().flush(fd);
}
