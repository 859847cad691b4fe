import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { diskBytes, isoBytes, qemuImg, sha512 } from './world.ts';

const AS = 'p:member';
const OCTETS = { 'content-type': 'application/octet-stream' };
const bytes = diskBytes();
let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    overrides: {
      'image_conversion.convert_uploads': 'true',
      'image_conversion.output_format': 'qcow2',
      'b.output_format': 'vmdk',
    },
  });
});
afterAll(() => world.remove());

async function created(more: Record<string, unknown> = {}): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  return String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
}

function put(id: string, data: Uint8Array, headers: Record<string, string> = {}) {
  return world.call(`PUT /v2/images/${id}/file`, { body: data, headers: { ...OCTETS, ...headers }, as: AS });
}

async function image(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: AS })).json;
}

async function downloaded(id: string, name: string): Promise<string> {
  const response = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': AS } });
  const path = world.path(name);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  return path;
}

async function nothingIsLeft(id: string): Promise<void> {
  const files = await world.files();
  expect(files.filter((file) => file.includes(id) || !file.startsWith('store'))).toEqual([]);
}

describe('an upload', () => {
  test.each([
    ['of this service', {}, 'qcow2', 'a'],
    ['of its store', { 'x-image-meta-store': 'b' }, 'vmdk', 'b'],
  ])('is brought into the format %s, and is active when the answer comes', async (_name, headers, format, store) => {
    const id = await created({ name: 'snapshot' });
    expect(await put(id, bytes, headers)).toMatchObject({ status: 204, text: '' });
    const path = await downloaded(id, `uploaded.${format}`);
    expect(await image(id)).toMatchObject({
      status: 'active',
      disk_format: format,
      container_format: 'bare',
      stores: store,
      virtual_size: bytes.length,
      os_hash_value: await sha512(path),
      source_format: 'raw',
    });
    await writeFile(world.path('source.raw'), bytes);
    await qemuImg('compare', '-f', 'raw', '-F', format, world.path('source.raw'), path);
    expect((await world.files()).filter((file) => !file.startsWith('store'))).toEqual([]);
  });

  test.each([
    ['has that format already', { disk_format: 'qcow2' }, () => qcow2Bytes()],
    ['is an ISO', { disk_format: 'iso' }, async () => isoBytes()],
    ['is a container', { container_format: 'ova' }, async () => Buffer.from('anything at all')],
  ])('that %s is kept as it is', async (_name, more, data) => {
    const id = await created(more);
    const given = await data();
    expect((await put(id, given)).status).toBe(204);
    const after = await image(id);
    expect(after).toMatchObject({ status: 'active', size: given.length, ...more });
    expect(after['source_format']).toBeUndefined();
    expect((await world.call(`GET /v2/images/${id}/tasks`, { as: AS })).json['tasks']).toEqual([]);
  });

  test('that is not what it was said to be is refused with the reason; the image takes other data', async () => {
    const id = await created({ disk_format: 'vmdk' });
    const answer = await put(id, bytes);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('Image format mismatch');
    expect(await image(id)).toMatchObject({ status: 'queued', os_glance_failed_import: 'a' });
    await nothingIsLeft(id);
    const vmdk = world.path('other.vmdk');
    await writeFile(world.path('source.raw'), bytes);
    await qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', world.path('source.raw'), vmdk);
    expect((await put(id, await readFile(vmdk))).status).toBe(204);
    expect(await image(id)).toMatchObject({ status: 'active', disk_format: 'qcow2', os_glance_failed_import: '' });
  });

  test('that is cut off leaves a queued image and nothing else', async () => {
    const id = await created();
    const call = request(`${world.url}/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { ...OCTETS, 'content-length': 2 ** 24, 'x-test-caller': AS },
    });
    call.on('error', () => {});
    call.write(Buffer.alloc(2 ** 20, 1));
    await vi.waitFor(async () => expect(await readdir(`${world.dir}/staging`)).toHaveLength(1));
    expect(await image(id)).toMatchObject({ status: 'saving' });
    call.destroy();
    await vi.waitFor(async () => expect(await image(id)).toMatchObject({ status: 'queued' }));
    await nothingIsLeft(id);
  });

  test('goes on when its sender leaves once everything has come, also in the next process', async () => {
    const id = await created();
    const large = randomBytes(2 ** 25);
    const call = request(`${world.url}/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { ...OCTETS, 'content-length': large.length, 'x-test-caller': AS },
    });
    call.on('error', () => {});
    call.end(large);
    await once(call, 'finish');
    const tasksOf = async () => (await world.call(`GET /v2/images/${id}/tasks`, { as: AS })).json['tasks'];
    await vi.waitFor(async () => expect(await tasksOf()).toHaveLength(1), { timeout: 10_000 });
    expect(await image(id)).toMatchObject({ status: 'saving' });
    call.destroy();
    await world.restart();
    await vi.waitFor(async () => expect(await image(id)).toMatchObject({ status: 'active' }), { timeout: 20_000 });
    expect(await image(id)).toMatchObject({ disk_format: 'qcow2', virtual_size: large.length });
    await vi.waitFor(async () => expect((await world.files()).filter((file) => !file.startsWith('store'))).toEqual([]));
  });
});

async function qcow2Bytes(): Promise<Buffer> {
  await writeFile(world.path('source.raw'), bytes);
  await qemuImg('convert', '-O', 'qcow2', '-c', world.path('source.raw'), world.path('given.qcow2'));
  return readFile(world.path('given.qcow2'));
}
