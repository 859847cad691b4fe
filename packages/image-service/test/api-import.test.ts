import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { diskBytes, qemuImg } from './world.ts';

const AS = 'p:member';
const bytes = diskBytes();
let world: ApiWorld;
let web: Server;
let origin: string;

beforeAll(async () => {
  web = createServer((request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: 'http://127.0.0.2/disk' }).end();
    else if (request.url === '/none') response.writeHead(404).end();
    else if (request.url === '/short')
      response.writeHead(200, { 'content-length': '1000' }).end('short', () => response.destroy());
    else response.writeHead(200, { 'content-length': bytes.length, etag: '"1"' }).end(bytes);
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    overrides: {
      'image_import_opts.image_import_plugins': '[inject_image_metadata, image_conversion]',
      'inject_metadata_properties.inject': 'managed_by:images',
      'image_conversion.output_format': 'qcow2',
      'taskflow_executor.conversion_format': 'qcow2',
      'import_filtering_opts.allowed_import_ports': `${port},80`,
      'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
    },
  });
});
afterAll(async () => {
  await world.remove();
  web.close();
});

async function create(more: Record<string, unknown> = {}): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  return String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
}

async function staged(data: Uint8Array, more: Record<string, unknown> = {}): Promise<string> {
  const id = await create(more);
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await world.call(`PUT /v2/images/${id}/stage`, { body: data, headers, as: AS })).status).toBe(204);
  return id;
}

interface Task {
  readonly id: string;
  readonly status: string;
  readonly [name: string]: unknown;
}

/** Waits for the end of the image's newest task by following its events; gives the last of them. */
async function endOf(id: string): Promise<Task> {
  const { json } = await world.call(`GET /v2/images/${id}/tasks`, { as: AS });
  const [task] = json['tasks'] as Task[];
  const followed = await world.call(`GET /v2/tasks/${task?.id}/events`, { as: AS });
  expect(followed.headers.get('content-type')).toBe('text/event-stream');
  const last = followed.text.trim().split('\n\n').at(-1) ?? '';
  expect(last.startsWith('event: task\ndata: ')).toBe(true);
  return JSON.parse(last.slice('event: task\ndata: '.length)) as Task;
}

async function image(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: AS })).json;
}

function importing(id: string, method: unknown, more: Record<string, unknown> = {}) {
  return world.call(`POST /v2/images/${id}/import`, {
    body: { method, ...more },
    as: AS,
    headers: { 'x-openstack-request-id': 'req-import' },
  });
}

describe('glance-direct', () => {
  test('converts what was staged, and says all about it', async () => {
    const id = await staged(bytes);
    const answer = await importing(id, { name: 'glance-direct' }, { stores: ['b', 'a'] });
    expect(answer).toMatchObject({ status: 202, text: '' });
    expect(await endOf(id)).toMatchObject({
      status: 'success',
      type: 'api_image_import',
      owner: 'p',
      user_id: 'user-of-p',
      request_id: 'req-import',
      image_id: id,
      input: { image_id: id, import_req: { method: { name: 'glance-direct' }, stores: ['b', 'a'] } },
      result: { image_id: id },
    });
    const after = await image(id);
    expect(after).toMatchObject({
      status: 'active',
      disk_format: 'qcow2',
      stores: 'a,b',
      virtual_size: bytes.length,
      source_format: 'raw',
      managed_by: 'images',
      os_glance_importing_to_stores: '',
      os_glance_failed_import: '',
    });
    const file = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': AS } });
    const [converted, source] = [world.path('converted.qcow2'), world.path('source.raw')];
    await writeFile(converted, Buffer.from(await file.arrayBuffer()));
    await writeFile(source, bytes);
    await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', source, converted);
    expect((await world.files()).filter((name) => !name.startsWith('store'))).toEqual([]);
  });

  test('refuses what it finds unsafe: queued, with the reason, ready for another try', async () => {
    const id = await staged(bytes, { disk_format: 'qcow2' });
    expect((await importing(id, { name: 'glance-direct' })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'format_mismatch' });
    const after = await image(id);
    expect(after).toMatchObject({ status: 'queued', size: null, os_glance_failed_import: 'a' });
    expect(String(after['os_glance_import_error'])).toMatch(/^format_mismatch: /);
    expect((await world.files()).filter((name) => name.includes(id))).toEqual([]);
  });

  test('needs staged data', async () => {
    expect((await importing(await create(), { name: 'glance-direct' })).status).toBe(409);
  });
});

describe('web-download', () => {
  test('brings the image', async () => {
    const id = await create();
    expect((await importing(id, { name: 'web-download', uri: `${origin}/disk` })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    expect(await image(id)).toMatchObject({ status: 'active', source_size: String(bytes.length) });
  });

  test.each([
    ['a redirect to a private address', '/away', 'blocked_address'],
    ['an answer that is none', '/none', 'download_failed'],
    ['less than was announced', '/short', 'download_failed'],
  ])('%s fails the import with a reason', async (_what, path, code) => {
    const id = await create();
    expect((await importing(id, { name: 'web-download', uri: origin + path })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: code });
    expect(await image(id)).toMatchObject({ status: 'queued', os_glance_failed_import: 'a' });
  });

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/x', 'http://127.0.0.1:1/x', 'nothing'])(
    '%s is refused at once',
    async (uri) => {
      expect((await importing(await create(), { name: 'web-download', uri })).status).toBe(400);
    },
  );
});

test.each([
  ['no method', {}],
  ['an unknown method', { method: { name: 'carrier-pigeon' } }],
  ['an unknown store', { method: { name: 'web-download', uri: 'http://127.0.0.1/' }, stores: ['none'] }],
  [
    'a store and all of them',
    { method: { name: 'web-download', uri: 'http://127.0.0.1/' }, stores: ['a'], all_stores: true },
  ],
])('an import with %s is refused', async (_what, body) => {
  const answer = await world.call(`POST /v2/images/${await create()}/import`, { body, as: AS });
  expect(answer.status, answer.text).toBe(400);
});

describe('tasks', () => {
  test('make and import an image in one call, for administrators', async () => {
    const body = {
      type: 'import',
      input: {
        import_from: `${origin}/disk`,
        import_from_format: 'raw',
        image_properties: { name: 'by task', disk_format: 'raw', container_format: 'bare' },
      },
    };
    expect((await world.call('POST /v2/tasks', { body, as: AS })).status).toBe(403);
    const made = await world.call('POST /v2/tasks', { body, as: 'p:admin' });
    expect(made.status, made.text).toBe(201);
    expect(made.json).toMatchObject({ status: 'pending', type: 'import', input: body.input });
    expect(made.headers.get('location')).toBe(`/v2/tasks/${String(made.json['id'])}`);
    const ended = await endOf(String(made.json['image_id']));
    expect(ended).toMatchObject({ status: 'success' });
    expect(await image(String(ended['image_id']))).toMatchObject({
      name: 'by task',
      status: 'active',
      disk_format: 'qcow2',
    });
    const { json } = await world.call('GET /v2/tasks?type=import&status=success', { as: 'p:admin' });
    expect((json['tasks'] as Task[])[0]).not.toHaveProperty('input');
    expect((await world.call('DELETE /v2/tasks/x', { as: 'p:admin' })).status).toBe(405);
    expect((await world.call('GET /v2/tasks?status=odd', { as: 'p:admin' })).status).toBe(400);
  });

  test('that have ended cannot be cancelled, and strangers know of none', async () => {
    const id = await staged(bytes);
    await importing(id, { name: 'glance-direct' });
    const task = await endOf(id);
    expect((await world.call(`POST /v2/tasks/${task.id}/actions/cancel`, { as: AS })).status).toBe(409);
    expect((await world.call(`POST /v2/tasks/${task.id}/actions/cancel`, { as: 'q:member' })).status).toBe(404);
    expect((await world.call(`GET /v2/tasks/${task.id}/events`, { as: 'q:member' })).status).toBe(404);
    expect((await world.call(`GET /v2/images/${id}/tasks`, { as: 'q:member' })).status).toBe(404);
  });
});

test('a deactivated image is not given to its owner, and comes back', async () => {
  const id = await staged(bytes);
  await importing(id, { name: 'glance-direct' });
  await endOf(id);
  const act = (action: string) => world.call(`POST /v2/images/${id}/actions/${action}`, { as: AS });
  expect((await act('deactivate')).status).toBe(204);
  expect((await world.call(`GET /v2/images/${id}/file`, { as: AS })).status).toBe(403);
  expect((await act('reactivate')).status).toBe(204);
  expect((await world.call(`GET /v2/images/${id}/file`, { as: AS })).status).toBe(200);
  expect((await world.call(`POST /v2/images/${await create()}/actions/deactivate`, { as: AS })).status).toBe(403);
});

test('imports that a stop of the service has cut off go on', async () => {
  const id = await staged(await readFile(world.path('source.raw')));
  await importing(id, { name: 'glance-direct' });
  await world.restart();
  expect(await endOf(id)).toMatchObject({ status: 'success' });
});
