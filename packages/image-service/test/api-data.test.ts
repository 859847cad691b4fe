import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes, qemuImg } from './world.ts';

let world: ApiWorld;
beforeAll(async () => {
  world = await makeApiWorld({
    overrides: { 'DEFAULT.image_size_cap': '4M', 'diskmorph.upload_stall_timeout': '1' },
  });
});
afterAll(() => world.remove());

const OCTETS = { 'content-type': 'application/octet-stream' };
const bytes = diskBytes();

async function create(more: Record<string, unknown> = {}): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  return String((await world.call('POST /v2/images', { body })).json['id']);
}

function give(id: string, body: unknown, what = 'file', headers = {}): Promise<Answer> {
  return world.call(`PUT /v2/images/${id}/${what}`, { body, headers: { ...OCTETS, ...headers } });
}

async function image(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`)).json;
}

async function filesOf(id: string): Promise<readonly string[]> {
  return (await world.files()).filter((name) => name.includes(id) || name.includes('/.'));
}

describe('data that is given', () => {
  test('makes the image active, with size, digests and store', async () => {
    const id = await create();
    expect((await give(id, bytes)).status).toBe(204);
    expect(await image(id)).toMatchObject({
      status: 'active',
      size: bytes.length,
      virtual_size: bytes.length,
      checksum: createHash('md5').update(bytes).digest('hex'),
      os_hash_algo: 'sha512',
      os_hash_value: createHash('sha512').update(bytes).digest('hex'),
      stores: 'a',
    });
    expect((await give(id, bytes)).status).toBe(409);
  });

  test('can go into a named store', async () => {
    const id = await create();
    expect((await give(id, bytes, 'file', { 'x-image-meta-store': 'b' })).status).toBe(204);
    expect(await image(id)).toMatchObject({ stores: 'b' });
    const other = await create();
    expect((await give(other, bytes, 'file', { 'x-image-meta-store': 'none' })).status).toBe(400);
  });

  test('comes back whole, or in part', async () => {
    const id = await create();
    await give(id, bytes);
    const whole = await fetch(`${world.url}/v2/images/${id}/file`);
    expect(whole.headers.get('content-md5')).toBe(createHash('md5').update(bytes).digest('hex'));
    expect(whole.headers.get('content-length')).toBe(String(bytes.length));
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
    const part = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { range: 'bytes=4090-4105' } });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe(`bytes 4090-4105/${bytes.length}`);
    expect(part.headers.get('content-md5')).toBe(null);
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(4090, 4106))).toBe(true);
    const beyond = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { range: `bytes=${bytes.length}-` } });
    expect(beyond.status).toBe(416);
  });

  test('an image without data has none to give', async () => {
    expect(await world.call(`GET /v2/images/${await create()}/file`)).toMatchObject({ status: 204, text: '' });
  });

  test('goes with the image', async () => {
    const id = await create();
    await give(id, bytes);
    expect(await filesOf(id)).toHaveLength(1);
    expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
    expect(await filesOf(id)).toEqual([]);
  });

  test('a stream whose length nobody knows is taken', async () => {
    const id = await create();
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.subarray(0, 1000));
        controller.enqueue(bytes.subarray(1000));
        controller.close();
      },
    });
    expect((await give(id, stream)).status).toBe(204);
    expect(await image(id)).toMatchObject({ size: bytes.length });
  });
});

describe('data that is refused leaves the image queued and nothing behind', () => {
  const cases: readonly [what: string, more: Record<string, unknown>, send: () => unknown, status: number][] = [
    ['more than the cap', {}, () => Buffer.alloc(5 * 2 ** 20), 413],
    ['a stream of more than the cap', {}, () => endless(), 413],
    ['another format than declared', { disk_format: 'qcow2' }, () => bytes, 400],
    ['no declared format', { disk_format: null }, () => bytes, 400],
  ];
  test.each(cases)('%s', async (_what, more, send, status) => {
    for (const what of ['file', 'stage']) {
      if (what === 'stage' && status === 400) continue;
      const id = await create(more);
      const answer = await give(id, send(), what);
      expect(answer.status, answer.text).toBe(status);
      expect(await image(id)).toMatchObject({ status: 'queued', size: null });
      expect(await filesOf(id)).toEqual([]);
    }
  });

  test('nothing for a second', async () => {
    const id = await create();
    for (const what of ['file', 'stage']) {
      const sender = request(`${world.url}/v2/images/${id}/${what}`, {
        method: 'PUT',
        headers: { ...OCTETS, 'content-length': bytes.length },
      });
      sender.on('error', () => {});
      sender.write(bytes.subarray(0, 10));
      const [answer] = await once(sender, 'response');
      expect(answer.statusCode).toBe(408);
      sender.destroy();
      expect(await image(id)).toMatchObject({ status: 'queued', size: null });
      expect(await filesOf(id)).toEqual([]);
    }
  });

  test('an image that names another file', async () => {
    const [base, overlay] = [world.path('base.raw'), world.path('overlay.qcow2')];
    await writeFile(base, bytes);
    await qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', overlay);
    const id = await create({ disk_format: 'qcow2' });
    const answer = await give(id, await readFile(overlay));
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain(world.dir);
    expect(await filesOf(id)).toEqual([]);
  });

  test('the wrong type', async () => {
    expect((await give(await create(), 'x', 'file', { 'content-type': 'text/plain' })).status).toBe(415);
  });
});

function endless(): ReadableStream {
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(65_536));
    },
  });
}

describe('staged data', () => {
  test('waits, also for the next start of the service', async () => {
    const id = await create();
    expect((await give(id, bytes, 'stage')).status).toBe(204);
    expect(await image(id)).toMatchObject({ status: 'uploading', size: bytes.length });
    await world.restart();
    expect(await image(id)).toMatchObject({ status: 'uploading', size: bytes.length });
    expect(await filesOf(id)).not.toEqual([]);
    expect((await give(id, bytes, 'stage')).status).toBe(409);
    expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
    expect(await filesOf(id)).toEqual([]);
  });
});

test('callers are told which stores and methods there are', async () => {
  expect((await world.call('GET /v2/info/stores')).json).toEqual({
    stores: [{ id: 'a', default: 'true' }, { id: 'b' }],
  });
  expect((await world.call('GET /v2/info/import')).json).toMatchObject({ 'import-methods': { type: 'array' } });
});

test('a disk is downloaded as raw bytes, whole or in part, and inspected', async () => {
  const [source, packed] = [world.path('whole.raw'), world.path('packed.qcow2')];
  await writeFile(source, bytes);
  await qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', source, packed);
  const id = await create({ disk_format: 'qcow2' });
  expect((await give(id, await readFile(packed))).status).toBe(204);
  const whole = await fetch(`${world.url}/v2/images/${id}/file?format=raw`);
  expect(whole.headers.get('content-length')).toBe(String(bytes.length));
  expect(whole.headers.get('content-md5')).toBe(null);
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
  const part = await fetch(`${world.url}/v2/images/${id}/file?format=raw`, { headers: { range: 'bytes=-10' } });
  expect(part.status).toBe(206);
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(-10))).toBe(true);
  expect((await world.call(`GET /v2/images/${id}/file?format=iso`)).status).toBe(400);
  const inspected = await world.call(`POST /v2/images/${id}/actions/inspect`);
  expect(inspected.json).toMatchObject({ place: 'stored', verdict: { format: 'qcow2', virtualSize: bytes.length } });
  expect((await world.call(`POST /v2/images/${await create()}/actions/inspect`)).status).toBe(409);
});

test('the API describes itself', async () => {
  const { json } = await world.call('GET /openapi.json');
  expect(json).toMatchObject({ openapi: '3.1.0', components: { schemas: { image: { type: 'object' } } } });
  const paths = json['paths'] as Record<string, Record<string, { readonly summary: string }>>;
  expect(Object.keys(paths['/v2/images/{imageId}/file'] ?? {})).toEqual(['put', 'get']);
  for (const path of Object.values(paths)) for (const { summary } of Object.values(path)) expect(summary).not.toBe('');
});
