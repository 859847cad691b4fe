import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { KeystoneSettings } from './settings.ts';

/** The longest answer that is read, in bytes: a token with a large catalogue has some hundred kilobytes. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_SOCKETS = 32;
const FIRST_RETRY_MS = 200;

/** One call to Keystone. */
export interface IdentityCall {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What Keystone said. */
export interface IdentityAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Keystone did not answer as it should; the message is for operators and holds no secret. */
export class IdentityFault extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'IdentityFault';
  }
}

/** Calls Keystone on connections that are kept. */
export interface IdentityHttp {
  /** The answer, whatever its status below 500. Throws `IdentityFault` when there is none in time, or only 5xx. */
  call(call: IdentityCall): Promise<IdentityAnswer>;
  close(): void;
}

type HttpSettings = Pick<KeystoneSettings, 'ca' | 'verifyCertificates' | 'requestTimeoutMs' | 'retries'>;

/** A caller of Keystone; `sleep` waits between repetitions, in milliseconds. */
export function identityHttp(settings: HttpSettings, sleep: (ms: number) => Promise<void>): IdentityHttp {
  const pool = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const plain = new HttpAgent(pool);
  const secure = new HttpsAgent({
    ...pool,
    rejectUnauthorized: settings.verifyCertificates,
    ...(settings.ca === undefined ? {} : { ca: settings.ca }),
  });
  return {
    async call(call) {
      for (let attempt = 0; ; attempt++) {
        const outcome = await attemptCall(call, settings.requestTimeoutMs, { plain, secure });
        if (!('fault' in outcome)) return outcome;
        if (!outcome.passing || attempt >= settings.retries) throw outcome.fault;
        await sleep(FIRST_RETRY_MS * 2 ** attempt);
      }
    },
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

interface Agents {
  readonly plain: HttpAgent;
  readonly secure: HttpsAgent;
}

/** `passing`: it is worth another try at once. A timeout is not, for it has used up the caller's patience. */
type Outcome = IdentityAnswer | { readonly fault: IdentityFault; readonly passing: boolean };

async function attemptCall(call: IdentityCall, timeoutMs: number, agents: Agents): Promise<Outcome> {
  const at = new URL(call.url).host;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await send(call, deadline, agents);
    if (answer.status < 500) return answer;
    return { fault: new IdentityFault(`Keystone at ${at} answers with status ${answer.status}`), passing: true };
  } catch (error) {
    if (error instanceof IdentityFault) return { fault: error, passing: false };
    if (deadline.aborted) {
      return {
        fault: new IdentityFault(`Keystone at ${at} does not answer within ${timeoutMs} ms`, error),
        passing: false,
      };
    }
    const reason = error instanceof Error ? (reasonOf(error) ?? error.message) : String(error);
    return { fault: new IdentityFault(`Keystone at ${at} cannot be reached: ${reason}`, error), passing: true };
  }
}

function reasonOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function send(call: IdentityCall, signal: AbortSignal, { plain, secure }: Agents): Promise<IdentityAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IdentityAnswer>();
  const headers = { accept: 'application/json', 'user-agent': 'diskmorph', ...call.headers };
  const options = { method: call.method, headers, signal };
  const respond = (response: IncomingMessage): void => {
    readBody(response).then((body) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    }, reject);
  };
  const request = call.url.startsWith('https:')
    ? httpsRequest(call.url, { ...options, agent: secure }, respond)
    : httpRequest(call.url, { ...options, agent: plain }, respond);
  request.on('error', reject);
  request.end(call.body);
  return promise;
}

async function readBody(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    if (!Buffer.isBuffer(part)) continue;
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new IdentityFault(`Keystone answers with more than ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
