import { readdir, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld, withCache } from './api-world.ts';
import { runClient } from './run-client.ts';
import { startS3Proxy } from './s3-proxy.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';
import { diskBytes, qemuImg } from './world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const RAW = { disk_format: 'raw', container_format: 'bare' };
const ADMIN = { as: 'ops:admin' };

let world: ApiWorld;
let web: WebFiles;
const disk = diskBytes();

beforeEach(async () => {
  web = await startWebFiles();
  web.files.set('/disk', disk);
});
afterEach(async () => {
  await world.remove();
  await web.close();
});

async function serve(overrides: Readonly<Record<string, string>> = {}, as?: 'anybody'): Promise<void> {
  world = await makeApiWorld({
    ...(as === undefined ? { authenticator: HEADER_AUTHENTICATION } : {}),
    prepare: withCache,
    overrides: {
      'DEFAULT.enabled_backends': 'a:file, b:file, web:http',
      'web.http_allowed_addresses': '127.0.0.1',
      ...overrides,
    },
  });
}

async function register(): Promise<string> {
  return String((await world.call('POST /v2/images', { as: 'p:member', body: RAW })).json['id']);
}

/** An image whose data lies on the web, its digest known. */
async function remoteImage(): Promise<string> {
  const id = await register();
  const added = await world.call(`POST /v2/images/${id}/locations`, {
    as: 'p:member',
    body: { url: `${web.url}/disk` },
  });
  expect(added.status).toBe(202);
  const [task] = (await world.call(`GET /v2/images/${id}/tasks`, ADMIN)).json['tasks'] as { readonly id: string }[];
  await world.call(`GET /v2/tasks/${task?.id}/events`, ADMIN);
  web.calls.splice(0);
  return id;
}

async function localImage(): Promise<string> {
  const id = await register();
  expect((await world.call(`PUT /v2/images/${id}/file`, { as: 'p:member', headers: OCTETS, body: disk })).status).toBe(
    204,
  );
  return id;
}

async function download(id: string, range?: string): Promise<Buffer> {
  const headers = { 'x-test-caller': 'p:member', ...(range === undefined ? {} : { range }) };
  const answer = await fetch(`${world.url}/v2/images/${id}/file`, { headers });
  expect(answer.status).toBe(range === undefined ? 200 : 206);
  return Buffer.from(await answer.arrayBuffer());
}

async function cached(): Promise<readonly Record<string, unknown>[]> {
  return (await world.call('GET /v2/cache', ADMIN)).json['cached_images'] as Record<string, unknown>[];
}

const untilCached = (...ids: readonly string[]): Promise<void> =>
  vi.waitFor(async () => expect((await cached()).map((each) => each['image_id']).toSorted()).toEqual(ids.toSorted()), {
    timeout: 10_000,
  });

const wholeReads = (): number => web.calls.filter((line) => line === 'GET /disk').length;

describe('downloads', () => {
  test('of remote stores fill the cache; the next ones, and their ranges, come from it', async () => {
    await serve();
    const id = await remoteImage();
    expect((await download(id, 'bytes=0-9')).equals(disk.subarray(0, 10))).toBe(true);
    expect(await cached()).toEqual([]);
    expect((await download(id)).equals(disk)).toBe(true);
    await untilCached(id);
    const calls = web.calls.length;
    expect((await download(id)).equals(disk)).toBe(true);
    expect((await download(id, 'bytes=1000-70000')).equals(disk.subarray(1000, 70_001))).toBe(true);
    expect([web.calls.length, wholeReads()]).toEqual([calls, 1]);
    expect(await cached()).toMatchObject([{ image_id: id, hits: 2, size: disk.length }]);
    web.files.delete('/disk');
    await world.restart();
    expect((await download(id)).equals(disk)).toBe(true);
  });

  test('in another format read the copy too', async () => {
    await serve();
    const id = await remoteImage();
    await download(id);
    await untilCached(id);
    const calls = web.calls.length;
    const headers = { 'x-test-caller': 'p:member' };
    const given = async (format: string): Promise<Buffer> => {
      const answer = await fetch(`${world.url}/v2/images/${id}/file?format=${format}`, { headers });
      expect(answer.status).toBe(200);
      return Buffer.from(await answer.arrayBuffer());
    };
    expect((await given('raw')).equals(disk)).toBe(true);
    await writeFile(world.path('disk.raw'), disk);
    await writeFile(world.path('disk.vdi'), await given('vdi'));
    await qemuImg('compare', '-f', 'raw', '-F', 'vdi', world.path('disk.raw'), world.path('disk.vdi'));
    expect(web.calls).toHaveLength(calls);
    expect(await cached()).toMatchObject([{ image_id: id, hits: 2 }]);
  });

  test('data that is no longer what it was is served, not kept', async () => {
    await serve();
    const id = await remoteImage();
    const other = Buffer.from(disk).fill(1, 0, 10);
    web.files.set('/disk', other);
    expect((await download(id)).equals(other)).toBe(true);
    await vi.waitFor(async () => expect(await readdir(world.path('cache/incomplete'))).toEqual([]), {
      timeout: 10_000,
    });
    expect(await cached()).toEqual([]);
  });

  test('of stores of files do not; nor does what is larger than the cache', async () => {
    await serve({ 'DEFAULT.image_cache_max_size': '1000' });
    await download(await localImage());
    await download(await remoteImage());
    expect(await cached()).toEqual([]);
  });

  test.each(['delete', 'deactivate'])('after a %s nothing is left', async (how) => {
    await serve();
    const id = await remoteImage();
    await download(id);
    await untilCached(id);
    const line = how === 'delete' ? `DELETE /v2/images/${id}` : `POST /v2/images/${id}/actions/deactivate`;
    expect((await world.call(line, { as: 'p:member' })).status).toBe(204);
    expect(await cached()).toEqual([]);
    expect((await readdir(world.path('cache'))).toSorted()).toEqual(['incomplete', 'queue']);
  });
});

const put = (id: string, as: string = 'ops:admin'): Promise<Answer> => world.call(`PUT /v2/cache/${id}`, { as });

describe('an image on an S3 server', () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startRadosgw();
  });
  afterAll(async () => server?.stop());

  test('is read from there once, and shown at an address without keys', async () => {
    const proxy = await startS3Proxy(server.endpoint);
    try {
      await serve({
        'DEFAULT.enabled_backends': 'a:file, b:file, s:s3',
        'DEFAULT.show_image_direct_url': 'true',
        's.s3_store_host': proxy.endpoint,
        's.s3_store_access_key': server.accessKey,
        's.s3_store_secret_key': server.secretKey,
        's.s3_store_bucket': 'cached',
        's.s3_store_create_bucket_on_put': 'true',
      });
      const id = await register();
      const headers = { ...OCTETS, 'x-image-meta-store': 's' };
      const sent = await world.call(`PUT /v2/images/${id}/file`, { as: 'p:member', headers, body: disk });
      expect(sent.status).toBe(204);
      const { json } = await world.call(`GET /v2/images/${id}`, { as: 'p:member' });
      expect(json['direct_url']).toMatch(
        new RegExp(`^s3\\+http://127\\.0\\.0\\.1:\\d+/cached/[0-9a-f-]{36}/${id}\\.\\d+$`),
      );
      expect((await download(id)).equals(disk)).toBe(true);
      await untilCached(id);
      const calls = proxy.calls.length;
      expect((await download(id)).equals(disk)).toBe(true);
      expect((await download(id, 'bytes=5-600000')).equals(disk.subarray(5, 600_001))).toBe(true);
      expect(proxy.calls).toHaveLength(calls);
    } finally {
      await proxy.stop();
    }
  });
});

describe('administration', () => {
  test('queued images are copied, of any store; removed one by one and all together', async () => {
    await serve();
    const [local, remote, waiting] = [await localImage(), await remoteImage(), await register()];
    expect([(await put(local)).status, (await put(remote)).status, (await put(waiting)).status]).toEqual([
      202, 202, 400,
    ]);
    await untilCached(local, remote);
    expect((await world.call('GET /v2/cache', ADMIN)).json['queued_images']).toEqual([]);
    expect((await world.call(`DELETE /v2/cache/${local}`, ADMIN)).status).toBe(204);
    expect((await world.call(`DELETE /v2/cache/${local}`, ADMIN)).status).toBe(204);
    await untilCached(remote);
    const clear = (target: string): Promise<Answer> =>
      world.call('DELETE /v2/cache', { ...ADMIN, headers: { 'x-image-cache-clear-target': target } });
    expect((await clear('both')).status).toBe(400);
    expect((await clear('queue')).status).toBe(204);
    await untilCached(remote);
    expect((await clear('cache')).status).toBe(204);
    expect(await cached()).toEqual([]);
    const unknown = '11111111-1111-4111-8111-111111111111';
    expect([(await put(unknown)).status, (await world.call(`DELETE /v2/cache/${unknown}`, ADMIN)).status]).toEqual([
      404, 404,
    ]);
    expect((await world.call(`GET /v2/cache/nodes/${remote}`, ADMIN)).status).toBe(409);
  });

  test('clean and prune', async () => {
    await serve();
    const id = await remoteImage();
    await put(id);
    await untilCached(id);
    const cleaned = await world.call('POST /v2/cache/clean', ADMIN);
    expect([cleaned.status, cleaned.json, (await cached()).length]).toEqual([200, {}, 1]);
    const pruned = await world.call('POST /v2/cache/prune', ADMIN);
    expect([pruned.status, pruned.json]).toEqual([200, { total_files_pruned: 0, total_bytes_pruned: 0 }]);
  });

  test('what cannot be copied now waits, also for the next start', async () => {
    await serve();
    const id = await remoteImage();
    web.files.delete('/disk');
    expect((await put(id)).status).toBe(202);
    const queued = async (): Promise<unknown> => (await world.call('GET /v2/cache', ADMIN)).json['queued_images'];
    expect(await queued()).toEqual([id]);
    web.files.set('/disk', disk);
    await world.restart();
    await untilCached(id);
    expect(await queued()).toEqual([]);
  });

  test('tells which nodes have an image, where nodes say what they are', async () => {
    await serve({ 'DEFAULT.worker_self_reference_url': 'http://node-1:9292' });
    const id = await localImage();
    const nodes = async (): Promise<unknown> =>
      JSON.parse((await world.call(`GET /v2/cache/nodes/${id}`, ADMIN)).text) as unknown;
    expect(await nodes()).toEqual([]);
    await put(id);
    await vi.waitFor(async () => expect(await nodes()).toEqual(['http://node-1:9292']), { timeout: 10_000 });
    expect((await world.call(`GET /v2/cache/nodes/${id}`, { as: 'p:member' })).status).toBe(403);
    await world.call(`DELETE /v2/cache/${id}`, ADMIN);
    expect(await nodes()).toEqual([]);
  });

  test('by its former names', async () => {
    await serve();
    const id = await localImage();
    expect((await world.call(`PUT /v2/queued_images/${id}`, ADMIN)).status).toBe(200);
    await untilCached(id);
    expect((await world.call('GET /v2/queued_images', ADMIN)).json).toEqual({ queued_images: [] });
    expect((await world.call('GET /v2/cached_images', ADMIN)).json).toMatchObject({
      cached_images: [{ image_id: id }],
    });
    expect((await world.call(`DELETE /v2/cached_images/${id}`, ADMIN)).status).toBe(200);
    expect((await world.call('DELETE /v2/cached_images', ADMIN)).json).toEqual({ num_deleted: 0 });
    expect((await world.call('DELETE /v2/queued_images', ADMIN)).json).toEqual({ num_deleted: 0 });
  });

  test('for administrators alone; others learn nothing of foreign images', async () => {
    await serve();
    const id = await localImage();
    expect([(await put(id, 'p:member')).status, (await put(id, 'q:member')).status]).toEqual([403, 404]);
    for (const line of ['GET /v2/cache', 'DELETE /v2/cache', 'POST /v2/cache/clean', 'POST /v2/cache/prune']) {
      expect((await world.call(line, { as: 'p:member' })).status).toBe(403);
    }
  });

  test('without a cache it is not there, and the versions do not say so', async () => {
    await serve();
    const minors = async (): Promise<unknown> =>
      ((await world.call('GET /versions')).json['versions'] as { id: string }[])
        .map((version) => version.id)
        .slice(0, 6);
    expect(await minors()).toEqual(['v2.18', 'v2.17', 'v2.16', 'v2.15', 'v2.14', 'v2.13']);
    await world.remove();
    world = await makeApiWorld();
    expect(await minors()).toEqual(['v2.17', 'v2.15', 'v2.13', 'v2.12', 'v2.11', 'v2.10']);
    expect((await world.call('GET /v2/cache')).status).toBe(404);
  });
});

test("Debian's glance client queues, lists, removes and clears", async () => {
  const program = await requirePackage('glance', 'python3-glanceclient');
  await serve({}, 'anybody');
  const glance = (...parameters: string[]): Promise<string> =>
    runClient(program, ['--os-image-url', world.url, '--os-auth-token', 'none', ...parameters], world.path('.'));
  const [first, second] = [await localImage(), await localImage()];
  await glance('cache-queue', first, second);
  await untilCached(first, second);
  expect(await glance('cache-list')).toMatch(new RegExp(`${first} \\| cached`));
  await glance('cache-delete', first);
  await untilCached(second);
  await glance('cache-clear', '--target', 'cache');
  expect(await glance('cache-list')).not.toContain(second);
});
