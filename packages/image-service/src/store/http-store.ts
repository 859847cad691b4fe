import type { AddressRule } from '../net/address-rules.ts';
import { addressRule } from '../net/address-rules.ts';
import type { GotAnswer } from '../net/guarded-get.ts';
import { GetError, guardedGet } from '../net/guarded-get.ts';
import { refuseLocation } from './blob-name.ts';
import type { BlobRange, ImageStore } from './store.ts';
import { StoreError } from './store.ts';

/** What a store of web addresses is made of. */
export interface HttpStoreOptions {
  readonly id: string;
  /** 0 when absent. */
  readonly weight?: number;
  /** Addresses and networks that may be read from although they are private. */
  readonly allowedAddresses: readonly string[];
  readonly idleTimeoutMs: number;
  /** Certificates of the authorities that are trusted, PEM; the system's when absent. */
  readonly authorities?: string;
}

interface Web extends HttpStoreOptions {
  readonly mayReach: AddressRule;
}

/** Characters of a web address; the catalogue keeps no longer ones. */
const MAX_ADDRESS_LENGTH = 2048;

/** A store that is only read: a location is the web address of the bytes. */
export function httpStore(options: HttpStoreOptions): ImageStore {
  const { id } = options;
  const web: Web = { ...options, mayReach: addressRule(options.allowedAddresses) };
  const refuse = async (): Promise<never> => {
    throw new StoreError('read_only', `Store "${id}" can only be read`);
  };
  return {
    id,
    type: 'http',
    readOnly: true,
    weight: options.weight ?? 0,
    put: refuse,
    read: (location, range, signal) => readWeb(web, webAddress(location), { range, signal }),
    async stat(location) {
      const answer = await ask(web, webAddress(location), { range: { offset: 0, length: 1 }, signal: undefined });
      answer.discard();
      return { location, sizeBytes: wholeSize(web, answer) };
    },
    delete: async (location) => {
      webAddress(location);
      await refuse();
    },
    blobsOf: async () => [],
    discardUnfinished: async () => {},
    clearLeftovers: async () => {},
    checkReady: async () => {},
    freeBytes: async () => 0,
    addressOf: async (location) => {
      webAddress(location);
      return location;
    },
    locationAt: (url) => (isWebAddress(url) ? url : undefined),
  };
}

/** The address that a location is. Throws `missing` for what is none, or has credentials in it. */
function webAddress(location: string): URL {
  const url = URL.parse(location);
  if (url === null || !isWebAddress(location)) refuseLocation(location);
  return url;
}

function isWebAddress(location: string): boolean {
  const url = URL.parse(location);
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  return isWeb && url.username === '' && url.password === '' && location.length <= MAX_ADDRESS_LENGTH;
}

interface Reading {
  readonly range: BlobRange | undefined;
  readonly signal: AbortSignal | undefined;
}

async function* readWeb(web: Web, url: URL, reading: Reading): AsyncGenerator<Uint8Array> {
  const { range, signal } = reading;
  if (range !== undefined && range.length <= 0) return;
  const answer = await ask(web, url, reading);
  try {
    if (answer.code === 416) return;
    // A server that knows no ranges sends everything.
    let skipped = answer.code === 206 ? 0 : (range?.offset ?? 0);
    let left = range?.length ?? Number.POSITIVE_INFINITY;
    for await (const chunk of answer.body) {
      const wanted = chunk.subarray(Math.min(skipped, chunk.length)).subarray(0, left);
      skipped = Math.max(0, skipped - chunk.length);
      left -= wanted.length;
      if (wanted.length > 0) yield wanted;
      if (left === 0) return;
    }
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw webFault(web, error);
  } finally {
    answer.discard();
  }
}

/** The answer to a call that went well. */
async function ask(web: Web, url: URL, { range, signal }: Reading): Promise<GotAnswer> {
  const { mayReach, idleTimeoutMs, authorities } = web;
  const answer = await guardedGet({
    url,
    mayReach,
    idleTimeoutMs,
    ...(range === undefined ? {} : { headers: { range: `bytes=${range.offset}-${range.offset + range.length - 1}` } }),
    ...(authorities === undefined ? {} : { authorities }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    throw signal?.aborted === true ? signal.reason : webFault(web, error);
  });
  if ([200, 206, 416].includes(answer.code) && isRightRange(answer, range)) return answer;
  answer.discard();
  throw refusedAnswer(web, answer.code);
}

function isRightRange({ code, headers }: GotAnswer, range: BlobRange | undefined): boolean {
  return code !== 206 || headers['content-range']?.startsWith(`bytes ${range?.offset ?? 0}-`) === true;
}

function refusedAnswer({ id }: Web, code: number): StoreError {
  if (code === 404 || code === 410) return new StoreError('missing', `Store "${id}" does not hold it`);
  const kind = code >= 500 || code === 429 ? 'unavailable' : 'io';
  return new StoreError(kind, `Store "${id}": the image cannot be read: its server answers with ${code}`);
}

/** The size of the whole, from an answer to a call for its first byte. */
function wholeSize({ id }: Web, { code, headers }: GotAnswer): number {
  const total = code === 200 ? headers['content-length'] : headers['content-range']?.split('/')[1];
  if (total !== undefined && /^\d{1,16}$/.test(total)) return Number(total);
  throw new StoreError('io', `Store "${id}": the size of the image is not known`);
}

function webFault({ id }: Web, error: unknown): unknown {
  if (!(error instanceof GetError)) return error;
  const code = error.code === 'unavailable' ? 'unavailable' : 'io';
  return new StoreError(code, `Store "${id}": the image cannot be read: ${error.message}`, error);
}
