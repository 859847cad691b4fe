import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** What a proxy does with one call: lets it through, answers itself, never answers, or cuts the answer after some bytes. */
export type Treatment = 'pass' | 'unavailable' | 'silence' | { readonly cutAfterBytes: number } | 'pass, answer lost';

/** A server between a store and its S3 server that counts calls and can spoil them. */
export interface S3Proxy {
  readonly endpoint: string;
  /** Method and query of every call so far, such as `PUT partNumber=2`. */
  readonly calls: string[];
  /** Says what happens to a call; it is let through when this is not set. */
  treat: ((call: string) => Treatment) | undefined;
  stop(): Promise<void>;
}

/** Begins a proxy before the server at `endpoint`. */
export async function startS3Proxy(endpoint: string): Promise<S3Proxy> {
  const server = createServer((incoming, outgoing) => {
    const { searchParams } = new URL(incoming.url ?? '/', endpoint);
    const names = ['uploads', 'partNumber', 'uploadId', 'list-type'].filter((name) => searchParams.has(name));
    const query = names.map((name) => (name === 'partNumber' ? `${name}=${searchParams.get(name)}` : name));
    const call = [incoming.method ?? '', ...query].join(' ');
    proxy.calls.push(call);
    handle({ incoming, outgoing, endpoint }, proxy.treat?.(call) ?? 'pass').catch(() => outgoing.destroy());
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await listening;
  const proxy: S3Proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    treat: undefined,
    stop: async () => {
      const { promise, resolve: stopped } = Promise.withResolvers<void>();
      server.close(() => stopped());
      server.closeAllConnections();
      await promise;
    },
  };
  return proxy;
}

interface Call {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly endpoint: string;
}

async function handle(call: Call, treatment: Treatment): Promise<void> {
  const { incoming, outgoing } = call;
  if (treatment === 'silence') return;
  if (treatment === 'unavailable') {
    incoming.resume();
    outgoing.writeHead(503, { 'content-type': 'application/xml' });
    outgoing.end('<Error><Code>SlowDown</Code><Message>slower</Message></Error>');
    return;
  }
  const answer = await forwarded(call);
  if (treatment === 'pass, answer lost') return void outgoing.destroy();
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  if (treatment === 'pass') return pipeline(answer, outgoing);
  let passed = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    outgoing.write(chunk.subarray(0, treatment.cutAfterBytes - passed));
    passed += chunk.length;
    if (passed >= treatment.cutAfterBytes) break;
  }
  setImmediate(() => outgoing.destroy());
}

async function forwarded({ incoming, endpoint }: Call): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { expect: _expect, ...headers } = incoming.headers;
  // The signature covers the host as the client has written it.
  const onward = request(new URL(incoming.url ?? '/', endpoint), { method: incoming.method, headers }, resolve);
  onward.once('error', reject);
  // A server that refuses does not read on: its answer must not wait for the rest of the call.
  pipeline(incoming, onward).catch(reject);
  return promise;
}
