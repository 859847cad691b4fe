import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const LARGE = 64 * 2 ** 20;
let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld({
    overrides: {
      'diskmorph.max_uploads': '1',
      'diskmorph.max_downloads': '1',
      'diskmorph.download_stall_timeout': '1',
      'diskmorph.request_body_timeout': '1',
    },
  });
});
afterAll(() => world.remove());

async function created(): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare' };
  return String((await world.call('POST /v2/images', { body })).json['id']);
}

/** A call whose answer is not read. */
async function begun(method: string, path: string, headers: Record<string, string>): Promise<ClientRequest> {
  const call = request(`${world.url}${path}`, { method, headers, agent: false });
  call.on('error', () => {});
  call.flushHeaders();
  return call;
}

test('an upload more than may be under way is answered with 503 and when to try again', async () => {
  const [first, second] = [await created(), await created()];
  const upload = await begun('PUT', `/v2/images/${first}/file`, { ...OCTETS, 'content-length': '1000' });
  upload.write('x');
  while ((await world.call(`GET /v2/images/${first}`)).json['status'] !== 'saving');
  const refused = await world.call(`PUT /v2/images/${second}/file`, { body: Buffer.alloc(10), headers: OCTETS });
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('5');
  upload.destroy();
  while ((await world.call(`GET /v2/images/${first}`)).json['status'] !== 'queued');
  const taken = await world.call(`PUT /v2/images/${second}/file`, { body: Buffer.alloc(1000, 1), headers: OCTETS });
  expect(taken.status).toBe(204);
});

test('a receiver that takes nothing loses its connection, and its place goes to the next', async () => {
  const id = await created();
  const path = `/v2/images/${id}/file`;
  expect((await world.call(`PUT ${path}`, { body: Buffer.alloc(LARGE, 1), headers: OCTETS })).status).toBe(204);
  const slow = await begun('GET', path, {});
  const [answer] = (await once(slow, 'response')) as [IncomingMessage];
  answer.pause();
  expect((await world.call(`GET ${path}`)).status).toBe(503);
  let next = 503;
  while (next === 503) next = (await world.call(`GET ${path}`, { headers: { range: 'bytes=0-9' } })).status;
  expect(next).toBe(206);
  answer.on('error', () => {}).resume();
  await new Promise<unknown>((resolve) => answer.once('close', resolve));
  expect(answer.complete).toBe(false);
});

test('a request that does not come to its end in time is ended', async () => {
  const { hostname, port } = new URL(world.url);
  const socket = connect(Number(port), hostname);
  socket.write('POST /v2/images HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  const trickle = setInterval(() => socket.write(' '), 100);
  let answered = '';
  socket.on('data', (data: Buffer) => (answered += data.toString()));
  await once(socket, 'close');
  clearInterval(trickle);
  expect(answered).toMatch(/^HTTP\/1.1 408 /);
});
