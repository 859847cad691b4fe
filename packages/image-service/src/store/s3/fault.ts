import { S3ServiceException } from '@aws-sdk/client-s3';
import { StoreError } from '../store.ts';

/** What the codes of S3 servers mean for people and for what is done next. */
const MEANINGS: Readonly<Record<string, { readonly code: StoreError['code']; readonly text: string }>> = {
  NoSuchKey: { code: 'missing', text: 'does not hold it' },
  NotFound: { code: 'missing', text: 'does not hold it' },
  PreconditionFailed: { code: 'missing', text: 'holds something else there now' },
  NoSuchBucket: { code: 'io', text: 'its bucket does not exist' },
  AccessDenied: { code: 'io', text: 'its server refuses access' },
  InvalidAccessKeyId: { code: 'io', text: 'its server does not know the access key' },
  SignatureDoesNotMatch: { code: 'io', text: 'its server does not accept the secret key' },
  QuotaExceeded: { code: 'full', text: 'its quota is used up' },
  InsufficientCapacity: { code: 'full', text: 'it is full' },
  EntityTooLarge: { code: 'full', text: 'the image is larger than its server accepts' },
};

/** Codes of servers and of the client's own network faults that later tries need not meet. */
const PASSING = new Set([
  'SlowDown',
  'ServiceUnavailable',
  'InternalError',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'TimeoutError',
  'OperationAborted',
]);

/** The name that an S3 server or the client gives to an error; empty when it is none of theirs. */
export function faultName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/** Was the upload completed or aborted by somebody else, or forgotten by the server? */
export function isUploadGone(error: unknown): boolean {
  return faultName(error) === 'NoSuchUpload';
}

/** The error in the words of stores. `doing` says what could not be done. */
export function s3Fault(id: string, doing: string, error: unknown): unknown {
  if (error instanceof StoreError) return error;
  const name = faultName(error);
  const meaning = MEANINGS[name];
  if (meaning?.code === 'missing') return new StoreError('missing', `Store "${id}" ${meaning.text}`, error);
  if (meaning !== undefined) return new StoreError(meaning.code, `Store "${id}": ${doing}: ${meaning.text}`, error);
  if (isPassing(error))
    return new StoreError('unavailable', `Store "${id}": ${doing}: its server does not answer`, error);
  if (error instanceof S3ServiceException) {
    const code = /^[A-Za-z]{1,60}$/.test(name) ? name : 'an unknown error';
    return new StoreError('io', `Store "${id}": ${doing} (${code})`, error);
  }
  return error;
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof S3ServiceException && error.$fault === 'server') return true;
  const code = 'code' in error ? String(error.code) : '';
  return PASSING.has(error.name) || /^E(?:CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/.test(code) || code === 'ENOTFOUND';
}
