import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { guardedGet } from '../src/net/guarded-get.ts';
import { addressRule } from '../src/net/address-rules.ts';
import { httpStore } from '../src/store/http-store.ts';
import type { ImageStore } from '../src/store/store.ts';
import { gather } from './store-conformance.ts';

const bytes = randomBytes(300_000);

/** Answers by the path that was asked for. */
const answers: Readonly<Record<string, (call: IncomingMessage, answer: ServerResponse) => void>> = {
  '/ranges': (call, answer) => {
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(call.headers.range ?? '') ?? [];
    if (begin === undefined) return void answer.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    if (Number(begin) >= bytes.length) return void answer.writeHead(416).end();
    const end = Math.min(bytes.length, Number(last) + 1);
    answer.writeHead(206, { 'content-range': `bytes ${begin}-${end - 1}/${bytes.length}` });
    answer.end(bytes.subarray(Number(begin), end));
  },
  '/plain': (_call, answer) => void answer.writeHead(200, { 'content-length': bytes.length }).end(bytes),
  '/other-range': (_call, answer) =>
    void answer.writeHead(206, { 'content-range': `bytes 5-9/${bytes.length}` }).end('hello'),
  '/cut': (_call, answer) => {
    answer.writeHead(200, { 'content-length': bytes.length });
    answer.write(bytes.subarray(0, 1000), () => answer.destroy());
  },
  '/stall': (_call, answer) =>
    void answer.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 1000)),
  '/silence': () => {},
  '/busy': (_call, answer) => void answer.writeHead(503).end(),
  '/forbidden': (_call, answer) => void answer.writeHead(403).end(),
  '/redirect': (_call, answer) => void answer.writeHead(302, { location: '/ranges' }).end(),
  '/loop': (_call, answer) => void answer.writeHead(302, { location: '/loop' }).end(),
  '/nowhere': (_call, answer) => void answer.writeHead(302).end(),
  '/inside': (_call, answer) => void answer.writeHead(302, { location: `http://127.0.0.1:${port}/ranges` }).end(),
  '/inside-by-name': (_call, answer) =>
    void answer.writeHead(302, { location: `http://localhost:${port}/ranges` }).end(),
  '/file': (_call, answer) => void answer.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  '/credentials': (_call, answer) =>
    void answer.writeHead(302, { location: `http://u:p@127.0.0.9:${port}/ranges` }).end(),
};

let port: number;
let store: ImageStore;
let close: () => Promise<void>;
let asked: string[];

beforeEach(async () => {
  asked = [];
  const server = createServer((call, answer) => {
    asked.push(call.url ?? '');
    const answering = answers[call.url ?? ''];
    if (answering === undefined) answer.writeHead(404).end();
    else answering(call, answer);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '0.0.0.0', resolve);
  await promise;
  port = (server.address() as AddressInfo).port;
  // The server listens on every address of this machine; the store may reach one of them.
  store = httpStore({ id: 'web', allowedAddresses: ['127.0.0.9'], idleTimeoutMs: 300 });
  close = async () => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    server.closeAllConnections();
    await closed.promise;
  };
});
afterEach(() => close());

const at = (path: string): string => `http://127.0.0.9:${port}${path}`;

test.each(['/ranges', '/plain', '/redirect'])(
  'what lies at %s is read, whole and in ranges, and its size told',
  async (path) => {
    const location = at(path);
    expect((await gather(store.read(location))).equals(bytes)).toBe(true);
    const ranges = [
      [0, 1],
      [0, 0],
      [1000, 100_000],
      [bytes.length - 5, 100],
      [bytes.length, 1],
      [bytes.length + 100, 10],
    ] as const;
    for (const [offset, length] of ranges) {
      const got = await gather(store.read(location, { offset, length }));
      expect([offset, length, got.equals(bytes.subarray(offset, offset + length))]).toEqual([offset, length, true]);
    }
    expect(await store.stat(location)).toEqual({ location, sizeBytes: bytes.length });
  },
);

describe('what cannot be read says why', () => {
  test.each([
    ['/gone', 'missing', 'Store "web" does not hold it'],
    ['/busy', 'unavailable', 'Store "web": the image cannot be read: its server answers with 503'],
    ['/forbidden', 'io', 'Store "web": the image cannot be read: its server answers with 403'],
    ['/silence', 'unavailable', 'Store "web": the image cannot be read: Nothing came for too long'],
    ['/stall', 'unavailable', 'Store "web": the image cannot be read: Nothing came for too long'],
    [
      '/cut',
      'unavailable',
      'Store "web": the image cannot be read: It does not answer, or stops in the middle of its answer',
    ],
    ['/other-range', 'io', 'Store "web": the image cannot be read: its server answers with 206'],
    ['/loop', 'io', 'Store "web": the image cannot be read: It redirects more than 5 times'],
    ['/nowhere', 'io', 'Store "web": the image cannot be read: It redirects to nowhere'],
  ])('%s', async (path, code, message) => {
    await expect(gather(store.read(at(path)))).rejects.toMatchObject({ code, message });
  });

  test('a server that is not there', async () => {
    await expect(store.stat('http://127.0.0.9:1/')).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a reader that was stopped', async () => {
    const stopped = gather(store.read(at('/stall'), undefined, AbortSignal.timeout(100)));
    await expect(stopped).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});

describe('addresses that must not be reached are not', () => {
  test.each(['/inside', '/inside-by-name', '/file', '/credentials'])('redirected from %s', async (path) => {
    await expect(gather(store.read(at(path)))).rejects.toMatchObject({ code: 'io' });
    expect(asked).toEqual([path]);
  });

  test.each([
    () => `http://127.0.0.1:${port}/ranges`,
    () => `http://localhost:${port}/ranges`,
    () => `http://[::1]:${port}/ranges`,
    () => `http://[::ffff:127.0.0.1]:${port}/ranges`,
    () => `http://2130706433:${port}/ranges`,
    () => `http://0x7f.1:${port}/ranges`,
    () => 'http://169.254.169.254/latest/meta-data',
  ])('%s', async (location) => {
    await expect(store.stat(location())).rejects.toMatchObject({
      code: 'io',
      message: 'Store "web": the image cannot be read: The address is one that must not be read from',
    });
    expect(asked).toEqual([]);
  });

  test('an address is only an address', async () => {
    const wrong = ['', '/etc/passwd', 'file:///etc/passwd', 'ftp://127.0.0.9/x', `http://u:p@127.0.0.9:${port}/ranges`];
    for (const location of wrong) {
      await expect((async () => store.stat(location))()).rejects.toMatchObject({ code: 'missing' });
    }
  });

  test('what the caller does not want is not asked for', async () => {
    const get = guardedGet({
      url: new URL(at('/redirect')),
      mayReach: addressRule(['127.0.0.9']),
      checkUrl: (url) => {
        if (url.pathname === '/ranges') throw new Error('not this one');
      },
      idleTimeoutMs: 300,
    });
    await expect(get).rejects.toThrow('not this one');
    expect(asked).toEqual(['/redirect']);
  });
});

test('nothing is put or deleted', async () => {
  const owner = { imageId: '11111111-1111-4111-8111-111111111111', epoch: 1 };
  const content = { bytes: (async function* () {})() };
  await expect(store.put(owner, content)).rejects.toMatchObject({ code: 'read_only' });
  await expect(store.delete(at('/ranges'))).rejects.toMatchObject({ code: 'read_only' });
  expect([store.readOnly, await store.blobsOf(owner.imageId), await store.freeBytes()]).toEqual([true, [], 0]);
});

test('its locations are web addresses, those of callers too, as long as they hold no credentials', async () => {
  expect(await store.addressOf('https://example.org/a')).toBe('https://example.org/a');
  const urls = ['http://a/b', 'https://u:p@a/b', 'file:///etc/passwd', 'ftp://a/b', `http://a/${'b'.repeat(3000)}`];
  expect(urls.map((url) => store.locationAt(url, '11111111-1111-4111-8111-111111111111'))).toEqual([
    'http://a/b',
    ...urls.slice(1).map(() => undefined),
  ]);
});
