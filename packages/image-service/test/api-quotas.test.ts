import { afterEach, describe, expect, test } from 'vitest';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const RAW = { disk_format: 'raw', container_format: 'bare' };
const MIB = 2 ** 20;
const disk = Buffer.alloc(MIB, 0x55);

let world: ApiWorld;
let web: WebFiles | undefined;

afterEach(async () => {
  await world.remove();
  await web?.close();
  web = undefined;
});

async function serve(overrides: Readonly<Record<string, string>>): Promise<void> {
  world = await makeApiWorld({ authenticator: HEADER_AUTHENTICATION, overrides });
}

async function register(as: string = 'p:member'): Promise<string> {
  const made = await world.call('POST /v2/images', { as, body: RAW });
  expect(made.status).toBe(201);
  return String(made.json['id']);
}

function put(id: string, what: 'file' | 'stage', body: unknown = disk, as: string = 'p:member'): Promise<Answer> {
  return world.call(`PUT /v2/images/${id}/${what}`, { as, headers: OCTETS, body });
}

async function statusOf(id: string): Promise<unknown> {
  return (await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).json['status'];
}

/** A body whose length nobody knows beforehand. */
function streamed(pieces: number): ReadableStream<Uint8Array> {
  let left = pieces;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(disk));
      else controller.close();
    },
  });
}

const usage = async (as: string = 'p:member'): Promise<unknown> =>
  (await world.call('GET /v2/info/usage', { as })).json['usage'];

async function importEnd(id: string): Promise<Record<string, unknown>> {
  const { json } = await world.call(`GET /v2/images/${id}/tasks`, { as: 'p:member' });
  const [task] = json['tasks'] as { readonly id: string }[];
  await world.call(`GET /v2/tasks/${task?.id}/events`, { as: 'ops:admin' });
  return (await world.call(`GET /v2/tasks/${task?.id}`, { as: 'ops:admin' })).json;
}

describe('user_storage_quota and image_size_total', () => {
  test('what is announced is refused before it is sent; what is not, as soon as it is too much', async () => {
    await serve({ 'DEFAULT.user_storage_quota': '2MB' });
    expect(await usage()).toMatchObject({ image_size_total: { usage: 0, limit: 2 } });
    const [first, second] = [await register(), await register()];
    expect((await put(first, 'file')).status).toBe(204);
    const refused = await put(second, 'file', Buffer.alloc(2 * MIB, 1));
    expect([refused.status, refused.text]).toEqual([
      413,
      expect.stringContaining(`image_size_total is limited to ${2 * MIB} bytes: the project has ${MIB}`),
    ]);
    expect(await statusOf(second)).toBe('queued');
    expect((await put(second, 'file', streamed(2))).status).toBe(413);
    expect(await statusOf(second)).toBe('queued');
    expect((await world.files()).filter((name) => name.includes(second))).toEqual([]);
    expect((await put(second, 'file', streamed(1))).status).toBe(204);
    expect(await usage()).toMatchObject({ image_size_total: { usage: 2, limit: 2 } });
    const other = await register('q:member');
    expect((await put(other, 'file', disk, 'q:member')).status).toBe(204);
    await world.call(`DELETE /v2/images/${first}`, { as: 'p:member' });
    expect(await usage()).toMatchObject({ image_size_total: { usage: 1 } });
  });

  test('uploads at the same time do not pass it together', async () => {
    await serve({ 'project_limits.image_size_total': '3' });
    const ids = await Promise.all(Array.from({ length: 6 }, () => register()));
    const answers = await Promise.all(ids.map((id, index) => put(id, 'file', index % 2 === 0 ? disk : streamed(1))));
    const accepted = answers.filter(({ status }) => status === 204);
    expect(answers.filter(({ status }) => ![204, 413].includes(status))).toEqual([]);
    expect(accepted.length).toBeLessThanOrEqual(3);
    expect(await usage()).toMatchObject({
      image_size_total: { usage: accepted.length, limit: 3 },
      image_count_uploading: { usage: 0 },
    });
  });

  test('an import into several stores counts each', async () => {
    await serve({ 'project_limits.image_size_total': '1' });
    const id = await register();
    expect((await put(id, 'stage')).status).toBe(204);
    const body = { method: { name: 'glance-direct' }, stores: ['a', 'b'] };
    expect((await world.call(`POST /v2/images/${id}/import`, { as: 'p:member', body })).status).toBe(202);
    expect(await importEnd(id)).toMatchObject({ status: 'failure', error_code: 'over_quota' });
    expect(await world.files()).toEqual([]);
    expect((await put(id, 'file')).status).toBe(204);
  });
});

describe('counts', () => {
  test('image_count_total, with another limit for one project', async () => {
    await serve({ 'project_limits.image_count_total': '1', 'project_limits.override': 'q image_count_total=2' });
    await register();
    const refused = await world.call('POST /v2/images', {
      as: 'p:member',
      body: RAW,
      headers: { accept: 'application/json' },
    });
    expect([refused.status, refused.json['error_code']]).toEqual([413, 'over_quota']);
    await register('q:member');
    await register('q:member');
    expect(await usage('q:member')).toMatchObject({ image_count_total: { usage: 2, limit: 2 } });
  });

  test('image_count_uploading: staged data counts until it is imported', async () => {
    await serve({ 'project_limits.image_count_uploading': '1' });
    const [first, second] = [await register(), await register()];
    expect((await put(first, 'stage')).status).toBe(204);
    expect((await put(second, 'file')).status).toBe(413);
    expect(await usage()).toMatchObject({ image_count_uploading: { usage: 1, limit: 1 } });
    await world.call(`DELETE /v2/images/${first}`, { as: 'p:member' });
    expect((await put(second, 'file')).status).toBe(204);
  });

  test('a process that dies during an upload leaves nothing counted', async () => {
    await serve({ 'project_limits.image_count_uploading': '1', 'project_limits.image_size_total': '1' });
    const id = await register();
    const cut = new AbortController();
    const begun = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(new Uint8Array(1000));
        begun.resolve();
        await new Promise<void>((resolve) => cut.signal.addEventListener('abort', () => resolve()));
      },
    });
    const sending = fetch(`${world.url}/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { ...OCTETS, 'x-test-caller': 'p:member' },
      body,
      duplex: 'half',
      signal: cut.signal,
    } as RequestInit).catch(() => undefined);
    await begun.promise;
    while ((await statusOf(id)) !== 'saving') await new Promise((resolve) => setImmediate(resolve));
    cut.abort();
    await sending;
    await world.restart();
    expect(await usage()).toMatchObject({ image_count_uploading: { usage: 0 }, image_size_total: { usage: 0 } });
    expect((await put(id, 'file')).status).toBe(204);
  });
});

describe('image_stage_total', () => {
  test('counts what waits, and downloads from the web', async () => {
    web = await startWebFiles();
    web.files.set('/disk', disk).set('/large', Buffer.alloc(3 * MIB, 1));
    await serve({
      'project_limits.image_stage_total': '2',
      'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
      'import_filtering_opts.allowed_import_ports': web.url.split(':')[2] ?? '',
    });
    const [first, second, third] = [await register(), await register(), await register()];
    expect((await put(first, 'stage')).status).toBe(204);
    expect((await put(second, 'stage', streamed(2))).status).toBe(413);
    expect(await statusOf(second)).toBe('queued');
    const download = (path: string): Promise<Answer> =>
      world.call(`POST /v2/images/${third}/import`, {
        as: 'p:member',
        body: { method: { name: 'web-download', uri: `${web?.url}${path}` } },
      });
    expect((await download('/large')).status).toBe(202);
    expect(await importEnd(third)).toMatchObject({ status: 'failure', error_code: 'over_quota' });
    expect((await download('/disk')).status).toBe(202);
    expect(await importEnd(third)).toMatchObject({ status: 'success' });
    expect(await usage()).toMatchObject({ image_stage_total: { usage: 1, limit: 2 } });
  });
});
