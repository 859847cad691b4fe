import { ImageError } from '@diskmorph/disk-image';
import { CatalogError } from '../catalog/errors.ts';
import type { Failure } from '../flow/failure.ts';
import { StagingError } from '../staging/errors.ts';
import { StoreError } from '../store/store.ts';
import { ImportError } from './errors.ts';

/**
 * What is kept of an error and shown to users: a stable code and a message without host paths. Errors that nobody
 * foresaw say no more than `internal`; the log has them whole.
 */
export function describeFailure(error: unknown): Failure {
  if (error instanceof ImageError) return { code: error.code, message: imageMessage(error) };
  const foreseen =
    error instanceof ImportError ||
    error instanceof CatalogError ||
    error instanceof StagingError ||
    error instanceof StoreError;
  if (foreseen) return { code: error.code, message: error.message };
  const code = systemCode(error);
  if (code !== undefined) return { code: 'io', message: systemMessage(code) };
  return { code: 'internal', message: 'An internal error stopped the import; the log of the service has the details' };
}

/** The messages of `io` errors name files for people at a command line; the service's are about its own files. */
function imageMessage(error: ImageError): string {
  if (error.code !== 'io') return error.message;
  return systemMessage(systemCode(error.cause) ?? systemCode(error) ?? 'unknown error');
}

function systemMessage(code: string): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'The disk of the work directory is full';
  return `Reading or writing in the work directory failed (${code})`;
}

function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** Faults of the machine that go away by themselves. */
const PASSING_CODES = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EMFILE', 'ENFILE', 'ETIMEDOUT', 'ESTALE']);

/** May the same step succeed when it is simply tried again? A bad image stays bad; a busy machine does not stay busy. */
export function isPassingFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof CatalogError) return error.code === 'conflict' || error.code === 'unavailable';
  if (error instanceof StoreError && error.code === 'unavailable') return true;
  const code = systemCode(error) ?? systemCode(error.cause);
  return (code !== undefined && PASSING_CODES.has(code)) || /database is locked/.test(error.message);
}
