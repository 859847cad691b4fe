import { randomUUID } from 'node:crypto';

const GIVEN = /^[\w.-]{1,60}$/;

/** The id of one call, as it stands in its answer, in the log and in the tasks that it began: at most 64 characters. */
export function callId(given: string | readonly string[] | undefined): string {
  if (typeof given !== 'string' || !GIVEN.test(given)) return `req-${randomUUID()}`;
  return given.startsWith('req-') ? given : `req-${given}`;
}
