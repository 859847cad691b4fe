/** The description of the API: a valid document, and a true one. */
import { createHash } from 'node:crypto';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Answer, ApiWorld, Call } from './api-world.ts';
import { makeApiWorld, withCache } from './api-world.ts';
import type { DescribedApi } from './described-api.ts';
import { describedApi } from './described-api.ts';

let world: ApiWorld;
let api: DescribedApi;
const called = new Set<string>();

beforeAll(async () => {
  world = await makeApiWorld({ prepare: withCache });
  api = await describedApi(world);
});
afterAll(() => world.remove());

/** Calls, holds the answer against the document, and gives it. */
async function call(line: string, expected: number, more: Call = {}): Promise<Answer> {
  const headers = { accept: 'application/json', ...more.headers };
  const answer = await world.call(line, { ...more, headers });
  if (expected < 400) called.add(api.operationOf(line));
  expect(api.faultOf(line, answer)).toBeUndefined();
  return answer;
}

const OCTETS = { 'content-type': 'application/octet-stream' };
const RAW = { disk_format: 'raw', container_format: 'bare' };

async function newImage(body: Readonly<Record<string, unknown>> = RAW): Promise<string> {
  const made = await call('POST /v2/images', 201, { body });
  return String(made.json['id']);
}

/** Waits for the end of the newest task of an image. */
async function taskOf(imageId: string): Promise<string> {
  const { json } = await call(`GET /v2/images/${imageId}/tasks`, 200);
  const [task] = json['tasks'] as { readonly id: string }[];
  await call(`GET /v2/tasks/${task?.id}/events`, 200);
  return task?.id ?? '';
}

test('the document is valid', async () => {
  expect(await new Validator().validate(JSON.parse(JSON.stringify(api.document)) as Record<string, unknown>)).toEqual({
    valid: true,
  });
});

test('every operation has an id of its own, a summary, a described answer, and says whether a token is asked for', () => {
  const operations = Object.values(api.document.paths).flatMap((methods) => Object.values(methods));
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { operationId, summary, responses, security } of operations) {
    expect(summary, operationId).not.toBe('');
    expect(Object.keys(responses), `${operationId} is described nowhere`).not.toContain('default');
    expect(security.length === 0 || '401' in responses, operationId).toBe(true);
  }
});

describe('answers are as described', () => {
  test('of the service', async () => {
    expect.hasAssertions();
    for (const path of ['/', '/v2', '/v2/']) await call(`GET ${path}`, 300);
    for (const path of ['/versions', '/versions/', '/healthcheck', '/healthcheck/live', '/openapi.json', '/docs']) {
      await call(`GET ${path}`, 200);
    }
    await call('HEAD /healthcheck', 204, { headers: { accept: '*/*' } });
    await call('GET /metrics', 200, { headers: { accept: '*/*' } });
    for (const what of ['import', 'usage', 'stores', 'stores/detail']) await call(`GET /v2/info/${what}`, 200);
    for (const operation of api.operations.filter((each) => each.startsWith('GET /v2/schemas/'))) {
      await call(operation, 200);
    }
  });

  test('of images, tags and members', async () => {
    expect.hasAssertions();
    const id = await newImage({ ...RAW, name: 'one', tags: ['a'], os_type: 'linux', min_disk: 1 });
    const path = `/v2/images/${id}`;
    await call(`GET ${path}`, 200);
    await call('GET /v2/images?limit=1&name=one&sort=name:asc', 200);
    await call('GET /v2/images?visibility=nothing', 400);
    const patch = { 'content-type': 'application/openstack-images-v2.1-json-patch' };
    await call(`PATCH ${path}`, 200, {
      headers: patch,
      body: JSON.stringify([{ op: 'replace', path: '/name', value: 'two' }]),
    });
    await call(`PATCH ${path}`, 415, { body: [] });
    await call(`PUT ${path}/tags/blue`, 204);
    await call(`DELETE ${path}/tags/blue`, 204);
    await call(`DELETE ${path}/tags/blue`, 404);
    await call(`POST ${path}/members`, 200, { body: { member: 'p2' } });
    await call(`POST ${path}/members`, 409, { body: { member: 'p2' } });
    await call(`GET ${path}/members`, 200);
    await call(`GET ${path}/members/p2`, 200);
    await call(`PUT ${path}/members/p2`, 200, { body: { status: 'accepted' } });
    await call(`DELETE ${path}/members/p2`, 204);
    await call(`GET ${path}/file`, 204);
    await call(`DELETE ${path}`, 204);
    await call(`GET ${path}`, 404);
  });

  test('of data and tasks', async () => {
    expect.hasAssertions();
    const id = await newImage();
    const path = `/v2/images/${id}`;
    await call(`PUT ${path}/file`, 204, { headers: OCTETS, body: new Uint8Array(1024) });
    await call(`PUT ${path}/file`, 409, { headers: OCTETS, body: new Uint8Array(1024) });
    await call(`GET ${path}/file`, 200);
    await call(`GET ${path}/file`, 206, { headers: { range: 'bytes=0-9' } });
    await call(`GET ${path}/file`, 416, { headers: { range: 'bytes=5000-' } });
    await call(`GET ${path}/file?format=qcow2`, 200);
    await call(`GET ${path}/file?format=nothing`, 400);
    await call(`POST ${path}/actions/inspect`, 200);
    await call(`POST ${path}/actions/deactivate`, 204);
    await call(`POST ${path}/actions/reactivate`, 204);
    await call(`GET ${path}/locations`, 200);
    await call(`POST ${path}/actions/convert`, 202, { body: { format: 'qcow2' } });
    await taskOf(id);
    await call(`POST ${path}/actions/convert`, 400, { body: { format: 'nothing' } });
    const imported = await newImage();
    await call(`PUT /v2/images/${imported}/stage`, 204, { headers: OCTETS, body: new Uint8Array(1024) });
    await call(`POST /v2/images/${imported}/import`, 400, { body: {} });
    await call(`POST /v2/images/${imported}/import`, 202, {
      body: { method: { name: 'glance-direct' }, all_stores: true },
    });
    const task = await taskOf(imported);
    await call(`GET /v2/tasks/${task}`, 200);
    await call('GET /v2/tasks?limit=1', 200);
    await call(`POST /v2/tasks/${task}/actions/cancel`, 409);
    await call(`GET /v2/images/${imported}`, 200);
    await call(`DELETE /v2/stores/b/${imported}`, 204);
    // Nobody listens at port 1, and the flow tries again before it gives up: time enough to cancel it.
    const begun = await call('POST /v2/tasks', 201, {
      body: {
        type: 'import',
        input: { import_from: 'http://127.0.0.1:80/x', import_from_format: 'raw', image_properties: {} },
      },
    });
    await call(`GET /v2/tasks/${String(begun.json['id'])}`, 200);
  });

  test('of the image cache', async () => {
    expect.hasAssertions();
    const id = await newImage();
    await call(`PUT /v2/cache/${id}`, 400);
    await call(`PUT /v2/images/${id}/file`, 204, { headers: OCTETS, body: new Uint8Array(1024) });
    await call(`PUT /v2/cache/${id}`, 202);
    await call(`PUT /v2/queued_images/${id}`, 200);
    await vi.waitFor(async () => expect((await world.call('GET /v2/cache')).json['queued_images']).toEqual([]));
    for (const list of ['cache', 'cached_images', 'queued_images']) await call(`GET /v2/${list}`, 200);
    await call('POST /v2/cache/clean', 200);
    await call('POST /v2/cache/prune', 200);
    await call(`GET /v2/cache/nodes/${id}`, 409);
    for (const list of ['cached_images', 'queued_images']) {
      await call(`DELETE /v2/${list}/${id}`, 200);
      await call(`DELETE /v2/${list}`, 200);
    }
    await call(`DELETE /v2/cache/${id}`, 204);
    await call('DELETE /v2/cache', 204);
  });

  test('of metadata definitions', async () => {
    expect.hasAssertions();
    const root = '/v2/metadefs/namespaces';
    const property = { title: 'P', type: 'string', enum: ['a'], default: 'a' };
    await call(`POST ${root}`, 201, {
      body: {
        namespace: 'N',
        display_name: 'N',
        resource_type_associations: [{ name: 'R', prefix: 'p_' }],
        properties: { p: property },
        objects: [{ name: 'o', description: 'x', required: ['q'], properties: { q: property } }],
        tags: [{ name: 't' }],
      },
    });
    await call(`POST ${root}`, 409, { body: { namespace: 'N' } });
    await call(`GET ${root}`, 200);
    await call('GET /v2/metadefs/resource_types', 200);
    const one = `${root}/N`;
    await call(`GET ${one}?resource_type=R`, 200);
    await call(`PUT ${one}`, 200, { body: { namespace: 'N' } });
    for (const all of ['objects', 'properties', 'tags', 'resource_types']) await call(`GET ${one}/${all}`, 200);
    for (const single of ['objects/o', 'properties/p', 'tags/t']) await call(`GET ${one}/${single}`, 200);
    await call(`PUT ${one}/objects/o`, 200, { body: { name: 'o' } });
    await call(`PUT ${one}/properties/p`, 200, { body: { name: 'p', ...property } });
    await call(`PUT ${one}/tags/t`, 200, { body: { name: 't' } });
    await call(`POST ${one}/objects`, 201, { body: { name: 'o2' } });
    await call(`POST ${one}/properties`, 201, { body: { name: 'p2', ...property } });
    await call(`POST ${one}/tags`, 201, { body: { tags: [{ name: 'u' }] } });
    await call(`POST ${one}/tags/v`, 201);
    await call(`POST ${one}/resource_types`, 201, { body: { name: 'S' } });
    for (const single of ['objects/o', 'properties/p', 'tags/u', 'resource_types/S']) {
      await call(`DELETE ${one}/${single}`, 204);
    }
    for (const all of ['objects', 'properties', 'tags']) await call(`DELETE ${one}/${all}`, 204);
    await call(`DELETE ${one}`, 204);
    await call(`GET ${one}`, 404);
  });
});

/** What these calls cannot bring to a good end here; other tests do. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'POST /v2/tasks/{taskId}/actions/cancel',
  'POST /v2/images/{imageId}/locations',
  'GET /v2/cache/nodes/{imageId}',
]);

test('every operation was called', () => {
  expect(api.operations.filter((operation) => !called.has(operation) && !ELSEWHERE.has(operation))).toEqual([]);
});

test('the page for people needs nothing but itself', async () => {
  const { headers, text } = await world.call('GET /docs');
  const style = /<style>([^]*?)<\/style>/.exec(text)?.[1] ?? '';
  const digest = createHash('sha256').update(style).digest('base64');
  expect(headers.get('content-security-policy')).toContain(`default-src 'none'; style-src 'sha256-${digest}';`);
  expect(text).not.toMatch(/<script|<link|<img|https?:\/\//);
  for (const operation of Object.values(api.document.paths).flatMap((methods) => Object.values(methods))) {
    expect(text).toContain(`id="${operation.operationId}"`);
  }
  const anchors = [...text.matchAll(/href="#([^"]+)"/g)].map(([, anchor]) => anchor ?? '');
  expect(anchors.filter((anchor) => !text.includes(`id="${anchor}"`))).toEqual([]);
});
