import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web server of this machine that serves bytes by their path, ranges too. */
export interface WebFiles {
  readonly url: string;
  /** What is served; may be changed at any time. */
  readonly files: Map<string, Buffer>;
  /** The lines of the calls that came, such as `GET /disk 0-99`. */
  readonly calls: string[];
  /** What happens before an answer; may be changed. */
  before: (call: IncomingMessage) => Promise<void>;
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1. */
export async function startWebFiles(): Promise<WebFiles> {
  const files = new Map<string, Buffer>();
  const calls: string[] = [];
  const web: { before: WebFiles['before'] } = { before: async () => {} };
  const server = createServer((call, answer) => {
    const { range } = call.headers;
    calls.push([call.method, call.url, range?.replace('bytes=', '')].filter((part) => part !== undefined).join(' '));
    void web.before(call).then(() => send(files.get(call.url ?? ''), range, answer));
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  return Object.assign(web, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files,
    calls,
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  });
}

function send(bytes: Buffer | undefined, range: string | undefined, answer: ServerResponse): void {
  if (bytes === undefined) return void answer.writeHead(404).end();
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (from === undefined) return void answer.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  if (Number(from) >= bytes.length) return void answer.writeHead(416).end();
  const end = Math.min(bytes.length, Number(to) + 1);
  answer.writeHead(206, { 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` });
  answer.end(bytes.subarray(Number(from), end));
}
