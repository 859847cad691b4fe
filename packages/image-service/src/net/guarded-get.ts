import { lookup } from 'node:dns';
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import type { AddressRule } from './address-rules.ts';

/**
 * Why nothing was got. `forbidden`: the address, or one that it redirects to, must not be reached. `unavailable`: nobody
 * answers there (now). `bad_answer`: redirected too often or to nowhere.
 */
export type GetErrorCode = 'forbidden' | 'unavailable' | 'bad_answer';

/** A failure of `guardedGet`; the message names no address that a redirect has revealed. */
export class GetError extends Error {
  readonly code: GetErrorCode;

  constructor(code: GetErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GetError';
    this.code = code;
  }
}

/** How to get something. */
export interface GuardedGet {
  readonly url: URL;
  /** Asked about the address of every connection that is made, after names were looked up. */
  readonly mayReach: AddressRule;
  /** Asked about the first address and each that it redirects to; throws for those that are not wanted. */
  readonly checkUrl?: (url: URL) => void;
  readonly headers?: Readonly<Record<string, string>>;
  /** For a connection on which nothing moves. */
  readonly idleTimeoutMs: number;
  /** Certificates of the authorities that are trusted, PEM; the system's when absent. */
  readonly authorities?: string;
  readonly signal?: AbortSignal;
}

/** An answer, its body still to be read. A body that is cut off ends with an error. */
export interface GotAnswer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection up. */
  discard(): void;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Gets what lies at the address. Whatever a name leads to is checked when the connection is made, and so is every
 * redirect. No proxy is used, no cookie kept, no credentials sent. Throws `GetError`, or the reason of the signal.
 */
export async function guardedGet(get: GuardedGet): Promise<GotAnswer> {
  let { url } = get;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    requireWebAddress(url);
    get.checkUrl?.(url);
    const answer = await ask(get, url);
    if (!REDIRECTS.has(answer.statusCode ?? 0)) return gotAnswer(get, answer);
    answer.destroy();
    const next = URL.parse(answer.headers.location ?? '', url);
    if (answer.headers.location === undefined || next === null)
      throw new GetError('bad_answer', 'It redirects to nowhere');
    url = next;
  }
  throw new GetError('bad_answer', `It redirects more than ${MAX_REDIRECTS} times`);
}

function requireWebAddress(url: URL): void {
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:';
  if (isWeb && url.username === '' && url.password === '') return;
  throw new GetError('forbidden', 'Only http and https addresses without credentials can be read');
}

function ask(get: GuardedGet, url: URL): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  // An address is not looked up, so that the look-up would not meet it.
  if (isIP(host) !== 0 && !get.mayReach(host)) throw forbidden();
  const secure = url.protocol === 'https:';
  const options: RequestOptions = {
    headers: { 'user-agent': 'diskmorph', 'accept-encoding': 'identity', ...get.headers },
    lookup: checkedLookup(get.mayReach),
    // A connection that is used again would not be checked again.
    agent: false,
    timeout: get.idleTimeoutMs,
    ...(get.signal === undefined ? {} : { signal: get.signal }),
    ...(secure && get.authorities !== undefined ? { ca: get.authorities } : {}),
  };
  let answer: IncomingMessage | undefined;
  const asking = (secure ? httpsRequest : httpRequest)(url, options, (given) => resolve((answer = given)));
  asking.on('timeout', () => (answer ?? asking).destroy(new GetError('unavailable', 'Nothing came for too long')));
  asking.on('error', (error) => reject(getFault(get, error)));
  asking.end();
  return promise;
}

/** Looks names up, and gives only addresses that may be reached. */
function checkedLookup(mayReach: AddressRule): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const open = addresses.filter(({ address }) => mayReach(address));
      const [first] = open;
      if (first === undefined) return callback(forbidden(), '', 0);
      return options.all === true ? callback(null, open) : callback(null, first.address, first.family);
    });
  };
}

function forbidden(): GetError {
  return new GetError('forbidden', 'The address is one that must not be read from');
}

function gotAnswer(get: GuardedGet, answer: IncomingMessage): GotAnswer {
  return {
    code: answer.statusCode ?? 0,
    headers: answer.headers,
    body: bodyOf(get, answer),
    discard: () => void answer.destroy(),
  };
}

async function* bodyOf(get: GuardedGet, answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw getFault(get, error);
  } finally {
    answer.destroy();
  }
}

function getFault({ signal }: GuardedGet, error: unknown): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof GetError) return error;
  return new GetError('unavailable', 'It does not answer, or stops in the middle of its answer', error);
}
