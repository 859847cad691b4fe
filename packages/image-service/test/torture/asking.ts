import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from './engines.ts';
import type { Door } from './processes.ts';
import type { Record as Happened } from './record.ts';
import { count } from './record.ts';

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  /** The id under which the log has the call. */
  readonly callId: string;
  /** The id of the task that was begun. */
  readonly taskId: string | undefined;
}

/** What is sent. */
export type Sent = { readonly json: unknown } | { readonly data: Buffer };

/**
 * Asks the service, whichever process is the service now. Undefined: nobody knows what came of it, because the process
 * was killed, or its database.
 */
export type Ask = (line: string, body?: Sent) => Promise<Answer | undefined>;

/** Longest wait for an answer; a service that is killed answers by closing the connection. */
const ANSWER_MS = 90_000;

/** Before a client that was put off does something else. */
const PUT_OFF_MS = 300;

/** An answer in one line. */
export function textOf({ status, bytes, callId }: Answer): string {
  return `${status} (${callId}) ${bytes}`;
}

/** Asks this service. Answers that blame the service are noted as violations, unless its database was away. */
export function askOf(service: Service, happened: Happened): Ask {
  return async (line, body) => {
    const door = await service.door();
    const began = Date.now();
    const isExcused = (): boolean => service.wasAway(began);
    try {
      const { response, bytes } = await exchange(door, line, body);
      const answer: Answer = {
        status: response.status,
        bytes,
        callId: response.headers.get('x-openstack-request-id') ?? 'no id',
        taskId: /^\/v2\/tasks\/(.*)$/.exec(response.headers.get('location') ?? '')?.[1],
      };
      if (answer.status < 500) return answer;
      if (answer.status === 503 && response.headers.has('retry-after') && isExcused()) {
        count(happened, 'put off');
        await delay(PUT_OFF_MS);
        return undefined;
      }
      happened.violations.push(`${line}: ${textOf(answer)}`);
      return answer;
    } catch (error) {
      if (error instanceof Error && error.name === 'TimeoutError')
        throw new Error(`${line}: no answer`, { cause: error });
      // Who refuses data while it is still being sent closes the connection.
      const isRefusal = body !== undefined && 'data' in body;
      if (!door.wasKilled() && !isExcused() && !isRefusal) {
        happened.violations.push(`${line}: the connection was cut, and nobody was killed: ${causeOf(error)}`);
      }
      return undefined;
    }
  };
}

async function exchange(
  { url }: Door,
  line: string,
  body: Sent | undefined,
): Promise<{ readonly response: Response; readonly bytes: Buffer }> {
  const [method = 'GET', path = '/'] = line.split(' ');
  const isData = body !== undefined && 'data' in body;
  const sent = body === undefined ? undefined : 'data' in body ? new Uint8Array(body.data) : JSON.stringify(body.json);
  const type = { 'content-type': isData ? 'application/octet-stream' : 'application/json' };
  const response = await fetch(`${url}${path}`, {
    method,
    signal: AbortSignal.timeout(ANSWER_MS),
    headers: { accept: 'application/json', ...(sent === undefined ? {} : type) },
    ...(sent === undefined ? {} : { body: sent }),
  });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
