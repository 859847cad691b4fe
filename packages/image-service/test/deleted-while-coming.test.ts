import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

let world: ApiWorld;
afterEach(() => world.remove());

const CONVERTED = { 'image_conversion.convert_uploads': 'true', 'image_conversion.output_format': 'qcow2' };
const SIZE = 2 ** 21;

test.each([
  { what: 'staged data', path: 'stage', overrides: {} },
  { what: 'an upload', path: 'file', overrides: {} },
  { what: 'an upload that is to be converted', path: 'file', overrides: CONVERTED },
])('who sends $what hears that the image was deleted meanwhile', async ({ path, overrides }) => {
  world = await makeApiWorld({ overrides });
  const body = { disk_format: 'raw', container_format: 'bare' };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  const sender = request(`${world.url}/v2/images/${id}/${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': SIZE },
  });
  const answered = once(sender, 'response') as Promise<[IncomingMessage]>;
  sender.write(Buffer.alloc(SIZE / 2, 1));
  const hasBegun = (files: readonly string[]): boolean => files.some((file) => file.includes(id));
  while (!hasBegun(await world.files())) await new Promise(setImmediate);
  expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
  sender.end(Buffer.alloc(SIZE / 2, 1));
  const [answer] = await answered;
  expect(answer.statusCode).toBe(410);
  answer.resume();
  expect(await world.files()).toEqual([]);
});
