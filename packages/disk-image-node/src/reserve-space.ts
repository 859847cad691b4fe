import { closeSync, fstatSync, fsyncSync, openSync } from 'node:fs';
import { ioError } from './io-error.ts';
import type { SystemCalls } from './system-calls.ts';
import { systemCalls } from './system-calls.ts';

/**
 * Takes space for all bytes of a file, which stay as they are; holes stay zeros. False where the file system cannot.
 * Throws `io` when the file cannot be opened.
 */
export function reserveSpace(path: string, system: SystemCalls = systemCalls()): boolean {
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (error) {
    throw ioError(`Cannot open ${path}`, error);
  }
  try {
    const { size } = fstatSync(fd);
    const done = size === 0 || system.reserve(fd, 0, size);
    if (done) fsyncSync(fd);
    return done;
  } finally {
    closeSync(fd);
  }
}
