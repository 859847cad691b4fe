import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { RawParts } from '../src/main.ts';
import { StoreError } from '../src/store/store.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { withBrokenStore } from './import-cases.ts';
import { diskBytes, qemuImg } from './world.ts';

const OWNER = 'p:member';
const ADMIN = 'ops:admin';
const bytes = diskBytes();

let world: ApiWorld;
afterEach(() => world.remove());

interface Setting {
  readonly overrides?: Readonly<Record<string, string>>;
  readonly intercept?: (parts: RawParts) => RawParts;
}

/** A service with the stores a, b and c, and the id of an active raw image in a. */
async function serve({ overrides = {}, intercept }: Setting = {}): Promise<string> {
  let directory = '';
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    overrides: { 'DEFAULT.enabled_backends': 'a:file, b:file, c:file, w:http', ...overrides },
    prepare: async ({ path }) => {
      directory = path('store-c');
      await mkdir(directory);
      return { 'c.filesystem_store_datadir': directory };
    },
    ...(intercept === undefined ? {} : { intercept }),
  });
  const body = { disk_format: 'raw', container_format: 'bare', visibility: 'private' };
  const id = String((await world.call('POST /v2/images', { body, as: OWNER })).json['id']);
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await world.call(`PUT /v2/images/${id}/file`, { body: bytes, headers, as: OWNER })).status).toBe(204);
  return id;
}

function copy(id: string, more: Readonly<Record<string, unknown>>, as: string = ADMIN): Promise<Answer> {
  return world.call(`POST /v2/images/${id}/import`, { body: { method: { name: 'copy-image' }, ...more }, as });
}

async function image(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: OWNER })).json;
}

/** The image's newest task, once it has ended. */
async function endOf(id: string): Promise<Record<string, unknown>> {
  const { json } = await world.call(`GET /v2/images/${id}/tasks`, { as: OWNER });
  const [task] = json['tasks'] as { readonly id: string }[];
  await world.call(`GET /v2/tasks/${task?.id}/events`, { as: ADMIN });
  return (await world.call(`GET /v2/tasks/${task?.id}`, { as: ADMIN })).json;
}

async function storedIn(store: string, id: string): Promise<readonly Buffer[]> {
  const directory = world.path(`store-${store}`);
  const names = (await readdir(directory)).filter((name) => name.startsWith(id));
  return Promise.all(names.map((name) => readFile(join(directory, name))));
}

describe('a copy', () => {
  test('puts an active image into further stores; it stays active, and says which are still to come', async () => {
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const id = await serve({
      intercept: onPut('c', async () => {
        reached.resolve();
        await goOn.promise;
      }),
    });
    const answer = await copy(id, { stores: ['b', 'c'] });
    expect(answer).toMatchObject({ status: 202, text: '' });
    await reached.promise;
    expect(await image(id)).toMatchObject({ status: 'active', stores: 'a,b', os_glance_importing_to_stores: 'c' });
    const download = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': OWNER } });
    expect(Buffer.from(await download.arrayBuffer()).equals(bytes)).toBe(true);
    expect(await copy(id, { all_stores: true })).toMatchObject({ status: 409 });
    goOn.resolve();
    expect(await endOf(id)).toMatchObject({
      status: 'success',
      type: 'api_image_import',
      input: { import_req: { method: { name: 'copy-image' } } },
    });
    const after = await image(id);
    expect(after).toMatchObject({
      status: 'active',
      stores: 'a,b,c',
      os_glance_importing_to_stores: '',
      os_glance_failed_import: '',
    });
    expect(after).not.toHaveProperty('os_glance_import_task');
    expect(after).not.toHaveProperty('source_format');
    for (const store of ['a', 'b', 'c']) {
      expect((await storedIn(store, id)).map((stored) => stored.equals(bytes))).toEqual([true]);
    }
    expect((await world.files()).filter((name) => name.startsWith('work'))).toEqual([]);
  });

  test('into all stores leaves out those that have the image, and those that are only read', async () => {
    const id = await serve();
    expect((await copy(id, { stores: ['b'] })).status).toBe(202);
    await endOf(id);
    expect((await copy(id, { all_stores: true })).status).toBe(202);
    await endOf(id);
    expect(await image(id)).toMatchObject({ stores: 'a,b,c' });
    const nothing = await copy(id, { all_stores: true });
    expect([nothing.status, nothing.headers.get('location')]).toEqual([202, null]);
    expect((await storedIn('b', id)).length).toBe(1);
  });

  test.each([
    { more: { stores: ['a'] }, status: 400, says: /already present at store 'a'/ },
    { more: {}, status: 400, says: /already present at store 'a'/ },
    { more: { stores: ['w'] }, status: 400, says: /'w'/ },
    { more: { stores: ['none'] }, status: 400, says: /'none'/ },
  ])('of $more is refused with $status', async ({ more, status, says }) => {
    const answer = await copy(await serve(), more);
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(says);
  });

  test('is for those whom copy_image lets, and for active images', async () => {
    const id = await serve();
    expect((await copy(id, { stores: ['b'] }, OWNER)).status).toBe(403);
    expect((await copy(id, { stores: ['b'] }, 'q:member')).status).toBe(404);
    const body = { disk_format: 'raw', container_format: 'bare' };
    const queued = String((await world.call('POST /v2/images', { body, as: OWNER })).json['id']);
    expect((await copy(queued, { stores: ['b'] })).status).toBe(409);
  });
});

describe('a copy into stores that want a format', () => {
  const WISHES = { 'b.output_format': 'qcow2', 'c.output_format': 'qcow2' };

  test('is converted once; a later one takes what a store has already', async () => {
    const conversions: string[] = [];
    const id = await serve({
      overrides: { ...WISHES, 'a.output_format': 'raw' },
      intercept: (parts) => ({
        ...parts,
        tools: {
          ...parts.tools,
          convert(conversion, work) {
            conversions.push(conversion.target.format);
            return parts.tools.convert(conversion, work);
          },
        },
      }),
    });
    await copy(id, { stores: ['b'] });
    expect(await endOf(id)).toMatchObject({ status: 'success', message: '' });
    await copy(id, { stores: ['c'] });
    expect(await endOf(id)).toMatchObject({ status: 'success', message: '' });
    expect(conversions).toEqual(['qcow2']);
    const after = await image(id);
    expect(after).toMatchObject({
      disk_format: 'raw',
      size: bytes.length,
      stores: 'a,b,c',
      os_glance_stored_formats: 'a:raw,b:qcow2,c:qcow2',
    });
    const [[b], [c]] = [await storedIn('b', id), await storedIn('c', id)];
    expect(b?.equals(c ?? Buffer.alloc(0))).toBe(true);
    const [converted, source] = [world.path('b.qcow2'), world.path('a.raw')];
    await writeFile(converted, b ?? '');
    await writeFile(source, bytes);
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', source, converted)).toContain('identical');
  });

  test('is not converted when the image is of that format', async () => {
    const id = await serve({ overrides: { 'b.output_format': 'raw' } });
    await copy(id, { stores: ['b'] });
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    expect(await storedIn('b', id)).toEqual([bytes]);
    expect(await image(id)).not.toHaveProperty('os_glance_stored_formats');
  });
});

describe('a copy that fails', () => {
  test('takes back what it has added, and nothing else', async () => {
    const id = await serve({ intercept: withBrokenStore('c') });
    await copy(id, { stores: ['b', 'c'] });
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'io' });
    expect(await image(id)).toMatchObject({
      status: 'active',
      stores: 'a',
      os_glance_failed_import: 'b,c',
      os_glance_import_error: expect.stringMatching(/^io: /),
    });
    expect(await image(id)).not.toHaveProperty('os_glance_importing_to_stores');
    expect(await storedIn('a', id)).toEqual([bytes]);
    await copy(id, { stores: ['b'] });
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    const after = await image(id);
    expect(after).toMatchObject({ stores: 'a,b', os_glance_failed_import: '' });
    expect(after).not.toHaveProperty('os_glance_import_error');
  });

  test('in one store goes on, when not all must succeed', async () => {
    const id = await serve({ intercept: withBrokenStore('b') });
    await copy(id, { stores: ['b', 'c'], all_stores_must_succeed: false });
    expect(await endOf(id)).toMatchObject({ status: 'success', message: expect.stringMatching(/store "b"/) });
    expect(await image(id)).toMatchObject({ status: 'active', stores: 'a,c', os_glance_failed_import: 'b' });
  });

  test('in all stores has failed, also when not all must succeed', async () => {
    const id = await serve({ intercept: withBrokenStore('b', 'c') });
    await copy(id, { stores: ['b', 'c'], all_stores_must_succeed: false });
    expect(await endOf(id)).toMatchObject({ status: 'failure' });
    expect(await image(id)).toMatchObject({ status: 'active', stores: 'a', os_glance_failed_import: 'b,c' });
  });

  test('finds out that the stored data was damaged', async () => {
    const id = await serve();
    const name = (await world.files()).find((file) => file.startsWith(`store-a/${id}`)) ?? '';
    const damaged = Buffer.from(bytes);
    damaged[5000] = (damaged[5000] ?? 0) ^ 1;
    await writeFile(world.path(name), damaged);
    await copy(id, { stores: ['b'] });
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'corrupt' });
    expect(await storedIn('b', id)).toEqual([]);
  });

  test('because its project may not have so much as it turns out to be is taken back', async () => {
    const id = await serve({ overrides: { 'project_limits.image_size_total': '1', 'b.output_format': 'qcow2' } });
    await copy(id, { stores: ['b'] });
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'over_quota' });
    expect(await image(id)).toMatchObject({ status: 'active', stores: 'a', os_glance_failed_import: 'b' });
    expect(await storedIn('b', id)).toEqual([]);
  });

  test('because its image was deleted leaves nothing', async () => {
    const id = await serve({
      intercept: onPut('b', async () => {
        expect((await world.call(`DELETE /v2/images/${id}`, { as: OWNER })).status).toBe(204);
      }),
    });
    await copy(id, { stores: ['b', 'c'] });
    const { json } = await world.call('GET /v2/tasks', { as: ADMIN });
    const [task] = json['tasks'] as { readonly id: string }[];
    await world.call(`GET /v2/tasks/${task?.id}/events`, { as: ADMIN });
    expect((await world.call(`GET /v2/tasks/${task?.id}`, { as: ADMIN })).json).toMatchObject({ status: 'failure' });
    expect((await world.files()).filter((file) => file.includes(id))).toEqual([]);
  });
});

/** Does something in the middle of a put into the store. */
function onPut(store: string, work: () => Promise<void>): (parts: RawParts) => RawParts {
  return (parts) => {
    const real = parts.stores.get(store);
    if (real === undefined) throw new StoreError('missing', 'there is the store');
    const put: typeof real.put = async (...given) => {
      await work();
      return real.put(...given);
    };
    return { ...parts, stores: new Map([...parts.stores, [store, { ...real, put }]]) };
  };
}
