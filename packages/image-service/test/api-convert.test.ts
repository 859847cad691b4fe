import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { diskBytes, qemuImg, sha512 } from './world.ts';

const AS = 'p:member';
const OCTETS = { 'content-type': 'application/octet-stream' };
const bytes = diskBytes();
let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    overrides: { 'diskmorph.replaced_data_grace': '0' },
  });
});
afterAll(() => world.remove());

async function uploaded(data: Uint8Array = bytes, more: Record<string, unknown> = {}): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  const id = String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
  const put = await world.call(`PUT /v2/images/${id}/file`, { body: data, headers: OCTETS, as: AS });
  expect(put).toMatchObject({ status: 204 });
  return id;
}

function convert(id: string, body: Record<string, unknown>, as: string = AS) {
  return world.call(`POST /v2/images/${id}/actions/convert`, { body, as });
}

/** The task at its end. */
async function ended(taskId: string): Promise<Record<string, unknown>> {
  const { text } = await world.call(`GET /v2/tasks/${taskId}/events`, { as: AS });
  const last = text.trim().split('\n\n').at(-1) ?? '';
  return JSON.parse(last.slice('event: task\ndata: '.length)) as Record<string, unknown>;
}

async function converted(id: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await convert(id, body);
  expect(answer.status, answer.text).toBe(202);
  expect(answer.headers.get('location')).toBe(`/v2/tasks/${String(answer.json['id'])}`);
  return ended(String(answer.json['id']));
}

async function image(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: AS })).json;
}

async function storedFiles(id: string): Promise<readonly string[]> {
  const names = await readdir(`${world.dir}/store-a`);
  return names.filter((name) => name.startsWith(id));
}

/** Downloads into a file. */
async function downloaded(id: string, name: string): Promise<string> {
  const response = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': AS } });
  expect(response.status).toBe(200);
  const path = world.path(name);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  return path;
}

async function sourcePath(): Promise<string> {
  const path = world.path('source.raw');
  await writeFile(path, bytes);
  return path;
}

describe('an image that is converted in place', () => {
  test.each([
    ['qcow2', 'qcow2', 'qcow2', {}],
    ['qcow2', 'qcow2', 'qcow2', { options: { compression: 'zstd', lazy_refcounts: true, cluster_size: 131072 } }],
    ['vmdk', 'vmdk', 'vmdk', { options: { subformat: 'streamOptimized' } }],
    ['vpc', 'vhd', 'vpc', {}],
    ['vhdx', 'vhdx', 'vhdx', {}],
    ['vdi', 'vdi', 'vdi', {}],
  ])('to %s is one, with all that is known of it, and nothing is left over', async (format, diskFormat, name, more) => {
    const id = await uploaded();
    const before = await image(id);
    expect(await converted(id, { format, ...more })).toMatchObject({
      type: 'api_image_convert',
      status: 'success',
      owner: 'p',
      image_id: id,
      input: { image_id: id, convert_req: { format, ...more } },
      result: { image_id: id },
    });
    const path = await downloaded(id, `converted.${name}`);
    const after = await image(id);
    expect(after).toMatchObject({
      status: 'active',
      disk_format: diskFormat,
      container_format: 'bare',
      size: (await readFile(path)).length,
      os_hash_value: await sha512(path),
      source_format: 'raw',
      source_size: String(bytes.length),
      source_hash: `sha512:${String(before['os_hash_value'])}`,
    });
    expect(Object.keys(after)).not.toContain('os_glance_import_task');
    expect(Number(after['virtual_size'])).toBeGreaterThanOrEqual(bytes.length);
    await qemuImg('compare', '-f', 'raw', '-F', name, await sourcePath(), path);
    await vi.waitFor(async () => expect(await storedFiles(id)).toHaveLength(1), { timeout: 10_000 });
    expect((await world.files()).filter((file) => !file.startsWith('store'))).toEqual([]);
  });

  test('keeps what users change meanwhile', async () => {
    const id = await uploaded();
    const answer = await convert(id, { format: 'qcow2' });
    const patch = [
      { op: 'replace', path: '/name', value: 'renamed' },
      { op: 'add', path: '/mine', value: 'yes' },
    ];
    const type = 'application/openstack-images-v2.1-json-patch';
    const patched = await world.call(`PATCH /v2/images/${id}`, {
      body: JSON.stringify(patch),
      headers: { 'content-type': type },
      as: AS,
    });
    expect(patched.status).toBe(200);
    expect(await ended(String(answer.json['id']))).toMatchObject({ status: 'success' });
    expect(await image(id)).toMatchObject({ name: 'renamed', mine: 'yes', disk_format: 'qcow2' });
  });

  test('gives its old bytes to the end to whoever is downloading them', async () => {
    const large = Buffer.concat([randomBytes(24 * 2 ** 20), Buffer.alloc(2 ** 20)]);
    const id = await uploaded(large);
    const [response] = (await once(
      request(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': AS } }).end(),
      'response',
    )) as [IncomingMessage];
    const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const first = await pieces.next();
    expect(await converted(id, { format: 'qcow2' })).toMatchObject({ status: 'success' });
    expect(await storedFiles(id)).toHaveLength(2);
    const read = [first.value as Buffer];
    for (let piece = await pieces.next(); piece.done !== true; piece = await pieces.next()) read.push(piece.value);
    expect(Buffer.concat(read).equals(large)).toBe(true);
    await vi.waitFor(async () => expect(await storedFiles(id)).toHaveLength(1), { timeout: 10_000 });
  });

  test('twice keeps what it first came as, and reads what it is now', async () => {
    const id = await uploaded();
    await converted(id, { format: 'qcow2' });
    expect(await converted(id, { format: 'raw' })).toMatchObject({ status: 'success' });
    const after = await image(id);
    expect(after).toMatchObject({ disk_format: 'raw', source_format: 'raw', size: bytes.length });
    expect((await readFile(await downloaded(id, 'again.raw'))).equals(bytes)).toBe(true);
  });
});

describe('an image that has the format already', () => {
  test('is left alone', async () => {
    const id = await uploaded();
    const before = await image(id);
    const { status, message } = await converted(id, { format: 'raw' });
    expect([status, message]).toEqual([
      'success',
      'not converted: the image has that format already; "force" writes it anew',
    ]);
    expect(await image(id)).toEqual(before);
  });

  test('is written anew when forced', async () => {
    const id = await uploaded();
    const stored = await storedFiles(id);
    expect(await converted(id, { format: 'raw', force: true })).toMatchObject({ status: 'success' });
    await vi.waitFor(async () => expect(await storedFiles(id)).toHaveLength(1), { timeout: 10_000 });
    expect(await storedFiles(id)).not.toEqual(stored);
    expect((await readFile(await downloaded(id, 'forced.raw'))).equals(bytes)).toBe(true);
  });
});

describe('what is refused', () => {
  test.each([
    [{}, 400],
    [{ format: 'iso' }, 400],
    [{ format: 'qcow3' }, 400],
    [{ format: 'parallels' }, 400],
    [{ format: 'qcow2', options: { cluster_size: '3' } }, 400],
    [{ format: 'qcow2', options: 'x' }, 400],
    [{ format: 'qcow2', options: { nested: {} } }, 400],
    [{ format: 'vmdk', options: { subformat: 'monolithicFlat' } }, 400],
    [{ format: 'qcow2', container_format: 'none' }, 400],
    [{ format: 'qcow2', force: 'yes' }, 400],
    [{ format: 'qcow2', colour: 'red' }, 400],
  ])('%j: %i', async (body, status) => {
    const id = await uploaded();
    const before = await image(id);
    expect((await convert(id, body)).status).toBe(status);
    expect(await image(id)).toEqual(before);
  });

  test('an image without data, a protected one, one that is at work already', async () => {
    const body = { disk_format: 'raw', container_format: 'bare' };
    const empty = String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
    expect((await convert(empty, { format: 'qcow2' })).status).toBe(409);
    const kept = await uploaded(bytes, { protected: true });
    expect((await convert(kept, { format: 'qcow2' })).status).toBe(403);
    const id = await uploaded();
    const answer = await convert(id, { format: 'qcow2' });
    expect((await convert(id, { format: 'vmdk' })).status).toBe(409);
    const importing = { body: { method: { name: 'web-download', uri: 'http://example.org/' } }, as: AS };
    expect((await world.call(`POST /v2/images/${id}/import`, importing)).status).toBe(409);
    expect(await ended(String(answer.json['id']))).toMatchObject({ status: 'success' });
  });

  test('members, readers and strangers; administrators may', async () => {
    const id = await uploaded(bytes, { visibility: 'community' });
    const hidden = await uploaded();
    expect((await convert(id, { format: 'qcow2' }, 'p:reader')).status).toBe(403);
    expect((await convert(id, { format: 'qcow2' }, 'q:member')).status).toBe(403);
    expect((await convert(hidden, { format: 'qcow2' }, 'q:member')).status).toBe(404);
    const answer = await convert(id, { format: 'qcow2' }, 'q:admin');
    expect(answer.status).toBe(202);
    await world.call(`GET /v2/tasks/${String(answer.json['id'])}/events`, { as: 'q:admin' });
    expect(await image(id)).toMatchObject({ disk_format: 'qcow2' });
  });
});

describe('a conversion that does not succeed', () => {
  test('of stored data that changed leaves the image as it was, and says why', async () => {
    const id = await uploaded();
    const [name] = await storedFiles(id);
    const path = world.storePath('a', name ?? '');
    const damaged = Buffer.from(bytes);
    damaged[0] = (damaged[0] ?? 0) ^ 1;
    await writeFile(path, damaged);
    const before = await image(id);
    expect(await converted(id, { format: 'qcow2' })).toMatchObject({ status: 'failure', error_code: 'corrupt' });
    expect({ ...(await image(id)), updated_at: '' }).toEqual({ ...before, updated_at: '' });
    expect(await storedFiles(id)).toEqual([name]);
    expect((await world.files()).filter((file) => !file.startsWith('store'))).toEqual([]);
  });

  test('because it is cancelled, or its image deleted, leaves nothing', async () => {
    const large = randomBytes(32 * 2 ** 20);
    const id = await uploaded(large);
    const task = String((await convert(id, { format: 'qcow2', options: { compression: 'zlib' } })).json['id']);
    const cancelled = await world.call(`POST /v2/tasks/${task}/actions/cancel`, { as: AS });
    expect(cancelled.status).toBe(202);
    expect(await ended(task)).toMatchObject({ status: 'failure', error_code: 'cancelled' });
    expect(await image(id)).toMatchObject({ status: 'active', disk_format: 'raw' });
    expect(await storedFiles(id)).toHaveLength(1);
    const again = String((await convert(id, { format: 'qcow2', options: { compression: 'zlib' } })).json['id']);
    expect((await world.call(`DELETE /v2/images/${id}`, { as: AS })).status).toBe(204);
    expect(await ended(again)).toMatchObject({ status: 'failure' });
    expect(await storedFiles(id)).toEqual([]);
    expect((await world.files()).filter((file) => !file.startsWith('store'))).toEqual([]);
  });
});
