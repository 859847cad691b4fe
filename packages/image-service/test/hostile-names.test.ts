import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

const CANARY = 'canary.1';
let world: ApiWorld;
let before: readonly string[];

beforeAll(async () => {
  world = await makeApiWorld();
  await writeFile(world.path(CANARY), 'the canary sings');
  before = await everything();
});
afterAll(() => world.remove());

/** All that is there but the state, which changes. */
async function everything(): Promise<readonly string[]> {
  const names = await readdir(world.dir, { recursive: true });
  return names.filter((name) => !name.startsWith('state')).sort();
}

const HOSTILE: readonly string[] = [
  '..',
  '.',
  '../canary.1',
  '../../../../../../../etc/passwd',
  '..\\canary.1',
  '%2e%2e%2fcanary.1',
  '/etc/passwd',
  'file:///etc/passwd',
  'a\0b',
  '\0',
  '',
  ' ',
  '11111111-1111-4111-8111-11111111111/',
  '11111111-1111-4111-8111-111111111111\n',
  '11111111-1111-4111-8111-111111111111.1',
  "' or '1'='1",
  '"; drop table images; --',
  '$(touch canary)',
  '__proto__',
  'constructor',
  'ＮＵＬ',
  '\u202e1.yranac',
  'x'.repeat(250),
  'x'.repeat(5000),
];
const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;
type Paths = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

test('no id, tag, member or name in any route leads anywhere', async () => {
  const document = (await world.call('GET /openapi.json')).json;
  const calls = Object.entries(document['paths'] as Paths).flatMap(([path, methods]) =>
    path.includes('{') ? METHODS.filter((method) => method in methods).map((method) => ({ path, method })) : [],
  );
  expect(calls.length).toBeGreaterThan(20);
  for (const { path, method } of calls) {
    for (const name of HOSTILE) {
      const line = `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, encodeURIComponent(name))}`;
      const octets = { 'content-type': 'application/octet-stream' };
      const data = /\/(?:file|stage)$/.test(path) ? { body: Buffer.alloc(10), headers: octets } : { body: {} };
      const answer = await world.call(line, method === 'get' || method === 'delete' ? {} : data);
      expect(answer.status, line).toBeGreaterThanOrEqual(200);
      expect(answer.status, line).toBeLessThan(500);
      expect(answer.text, line).not.toMatch(/canary sings|root:x:0/);
      expect(answer.text.includes(world.dir), line).toBe(false);
    }
  }
  expect(await everything()).toEqual(before);
});

test.each(HOSTILE.slice(0, 16))('as the id of a new image: %j is refused', async (id) => {
  const body = { id, disk_format: 'raw', container_format: 'bare' };
  expect((await world.call('POST /v2/images', { body })).status).toBe(400);
});

test.each(HOSTILE.slice(0, 8))(
  'as the name of an image that is imported, and as a store: %j leads nowhere',
  async (name) => {
    const body = { name, disk_format: 'raw', container_format: 'bare' };
    const made = await world.call('POST /v2/images', { body });
    expect(made.status).toBe(201);
    const id = String(made.json['id']);
    const headers = { 'content-type': 'application/octet-stream', 'x-image-meta-store': encodeURIComponent(name) };
    const refused = await world.call(`PUT /v2/images/${id}/file`, { body: diskBytes(), headers });
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.status).toBeLessThan(500);
    const octets = { 'content-type': 'application/octet-stream' };
    expect((await world.call(`PUT /v2/images/${id}/stage`, { body: diskBytes(), headers: octets })).status).toBe(204);
    const importing = { method: { name: 'glance-direct' }, stores: [name] };
    expect((await world.call(`POST /v2/images/${id}/import`, { body: importing })).status).toBe(400);
    expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
    expect((await everything()).filter((path) => !before.includes(path) && !path.startsWith('staging'))).toEqual([]);
    expect((await everything()).some((path) => path.includes(join('..', '')))).toBe(false);
  },
);
