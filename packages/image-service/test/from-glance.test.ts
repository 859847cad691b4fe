/** `deploy/from-glance.py`, between two services that speak Glance's API. By hand it was tried with Debian's Glance 25. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

const SCRIPT = join(import.meta.dirname, '..', '..', '..', 'deploy', 'from-glance.py');
/** Debian's, which sees the `requests` that comes with the client. */
const PYTHON = '/usr/bin/python3';
const OCTETS = { 'content-type': 'application/octet-stream' };
const BYTES = diskBytes();

const worlds: ApiWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.remove();
});

async function serve(overrides: Readonly<Record<string, string>> = {}): Promise<ApiWorld> {
  const world = await makeApiWorld({ overrides });
  worlds.push(world);
  return world;
}

async function add(world: ApiWorld, record: Readonly<Record<string, unknown>>, bytes?: Buffer): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...record };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  if (bytes !== undefined) {
    expect((await world.call(`PUT /v2/images/${id}/file`, { headers: OCTETS, body: bytes })).status).toBe(204);
  }
  return id;
}

async function copyAll(from: ApiWorld, to: ApiWorld): Promise<{ readonly code: number; readonly out: string }> {
  await requirePackage('openstack', 'python3-openstackclient');
  const { GLANCE_TOKEN: _from, DISKMORPH_TOKEN: _to, ...inherited } = process.env;
  const env = { ...inherited, GLANCE: from.url, DISKMORPH: to.url };
  try {
    const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT], { env });
    return { code: 0, out: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout + stderr };
  }
}

/** What the copy of a record may have otherwise: times, and where its data lies. */
function comparable({ json }: { readonly json: Record<string, unknown> }): Record<string, unknown> {
  const { created_at: _created, updated_at: _updated, stores: _stores, ...rest } = json;
  return rest;
}

test('every image is copied as it is: community, hidden, deactivated, shared, protected, without data', async () => {
  const [from, to] = [await serve(), await serve()];
  const shared = await add(from, { name: 'shared', owner: 'p' }, BYTES);
  await from.call(`POST /v2/images/${shared}/members`, { body: { member: 'q' } });
  await from.call(`PUT /v2/images/${shared}/members/q`, { body: { status: 'accepted' } });
  const deactivated = await add(from, { name: 'deactivated' }, BYTES);
  await from.call(`POST /v2/images/${deactivated}/actions/deactivate`);
  const all = [
    shared,
    deactivated,
    await add(from, { name: 'ünicode', visibility: 'public', tags: ['a', 'b c'], hw_disk_bus: 'virtio' }, BYTES),
    await add(from, { name: 'community', visibility: 'community', owner: 'p', protected: true }, BYTES),
    await add(from, { name: 'hidden', os_hidden: true, visibility: 'private', owner: 'p' }, BYTES),
    await add(from, { name: 'empty' }, Buffer.alloc(0)),
    await add(from, { name: 'without data' }),
  ];
  for (const turn of ['first', 'second']) {
    expect(await copyAll(from, to), turn).toMatchObject({ code: 0 });
    for (const id of all) {
      const line = `GET /v2/images/${id}`;
      expect(comparable(await to.call(line))).toEqual(comparable(await from.call(line)));
    }
  }
  const { text } = await to.call(`GET /v2/images/${shared}/file`);
  expect(text).toBe((await from.call(`GET /v2/images/${shared}/file`)).text);
  expect((await to.call(`GET /v2/images/${shared}/members`)).json['members']).toMatchObject([
    { member_id: 'q', status: 'accepted' },
  ]);
});

test('an image that is refused is named, and the others are copied', async () => {
  const [from, to] = [await serve(), await serve({ 'DEFAULT.image_size_cap': String(BYTES.length) })];
  const before = await add(from, { name: 'before' }, BYTES);
  const large = await add(from, { name: 'large' }, Buffer.concat([BYTES, BYTES]));
  const after = await add(from, { name: 'after' }, BYTES);
  const { code, out } = await copyAll(from, to);
  expect(code).toBe(1);
  expect(out).toMatch(new RegExp(`^${large} large: NOT COPIED: PUT .*: 413 `, 'm'));
  expect(out).toContain('1 images were not copied');
  for (const id of [before, after]) expect((await to.call(`GET /v2/images/${id}`)).json['status']).toBe('active');
});
