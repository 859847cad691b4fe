import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

let world: ApiWorld;
beforeAll(async () => {
  world = await makeApiWorld();
});
afterAll(() => world.remove());

/** Sends one part after the other, each when something has come back, and gives all that came until the connection ended. */
async function exchange(...parts: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(world.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const rest = [...parts];
  const sendNext = (): void => void socket.write(rest.shift() ?? '');
  socket.on('data', sendNext);
  sendNext();
  return text(socket);
}

describe('what is no call is answered like other errors, and the connection ends', () => {
  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'The call is no HTTP that can be read'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400, 'no HTTP'],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'no HTTP',
    ],
    ['long headers', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 431, 'too long together'],
    ['a long address', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431, 'too long together'],
  ])('%s', async (_what, sent, status, message) => {
    const answer = await exchange(sent);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('\r\nx-openstack-request-id: req-');
    const [, body = ''] = answer.split('\r\n\r\n');
    expect(JSON.parse(body)).toMatchObject({ message: expect.stringContaining(message) as unknown });
  });

  test('after a call that was answered', async () => {
    const answer = await exchange('GET /healthcheck/live HTTP/1.1\r\nHost: a\r\n\r\n', 'hello\r\n\r\n');
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });
});

test('what follows a call while its answer is being sent is not written into that answer', async () => {
  const { id } = (await world.call('POST /v2/images', { body: { disk_format: 'raw', container_format: 'bare' } })).json;
  const octets = { 'content-type': 'application/octet-stream' };
  await world.call(`PUT /v2/images/${String(id)}/file`, { headers: octets, body: new Uint8Array(32 * 2 ** 20) });
  const answer = await exchange(`GET /v2/images/${String(id)}/file HTTP/1.1\r\nHost: a\r\n\r\n`, 'hello\r\n\r\n');
  expect(answer).not.toContain('no HTTP');
});
