import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import { openStoredPlace } from '../src/import/stored-data.ts';
import type { RawParts } from '../src/main.ts';
import { openWholeService } from '../src/main.ts';
import { StoreError } from '../src/store/store.ts';
import type { S3Proxy } from './s3-proxy.ts';
import { startS3Proxy } from './s3-proxy.ts';
import { gather } from './store-conformance.ts';
import { failureOf, TO_RAW } from './import-cases.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, sha512 } from './world.ts';

let world: World;
let raw: string;
beforeEach(async () => {
  world = await makeWorld();
  raw = world.path('disk.raw');
  await writeFile(raw, diskBytes());
});
afterEach(() => world.remove());

const WITH_WEB = { ...TO_RAW, 'DEFAULT.enabled_backends': 'b:file, w:http, a:file' };

describe('which stores are filled', () => {
  test('all of them: those in which something can be put, in the order of their ids', async () => {
    const service = await world.open({ overrides: WITH_WEB });
    const { image } = await service.import(raw, { diskFormat: 'raw', allStores: true });
    expect(image.locations.map(({ store }) => store)).toEqual(['a', 'b']);
  });

  test.each([
    { options: { allStores: true, stores: ['a'] } as const, message: 'Name stores or ask for all of them, not both' },
    { options: { stores: ['a', 'w'] }, message: 'Store "w" can only be read; images can be put in b, a' },
    { options: { stores: ['c'] }, message: 'There is no store "c"; images can be put in b, a' },
  ])('refused: $message', async ({ options, message }) => {
    const service = await world.open({ overrides: WITH_WEB });
    const importing = service.import(raw, { diskFormat: 'raw', ...options });
    await expect(importing).rejects.toMatchObject({ code: 'invalid_value', message });
    expect(await service.images()).toEqual([]);
  });
});

/** A store that does not answer for the first `times` puts. */
function failingStore(id: string, times: number): { intercept: (parts: RawParts) => RawParts; puts: () => number } {
  let puts = 0;
  return {
    puts: () => puts,
    intercept: (parts) => ({
      ...parts,
      stores: new Map(
        Array.from(parts.stores, ([name, store]) => {
          if (name !== id) return [name, store];
          const put: typeof store.put = async (...given) => {
            if (puts++ < times) throw new StoreError('unavailable', `Store "${id}": its server does not answer`);
            return store.put(...given);
          };
          return [name, { ...store, put }];
        }),
      ),
    }),
  };
}

describe('a store that does not answer', () => {
  test('for a moment is tried again', async () => {
    const { intercept, puts } = failingStore('b', 1);
    const service = await world.open({ overrides: TO_RAW, intercept });
    const wanted = { diskFormat: 'raw', stores: ['a', 'b'], allStoresMustSucceed: false };
    const { image } = await service.import(raw, wanted);
    expect([puts(), image.locations.length, image.properties['os_glance_failed_import']]).toEqual([2, 2, '']);
  });

  test('at all is recorded with its reason, when not all stores must succeed', async () => {
    const { intercept, puts } = failingStore('a', Number.POSITIVE_INFINITY);
    const service = await world.open({ overrides: TO_RAW, intercept });
    const wanted = { diskFormat: 'raw', stores: ['a', 'b'], allStoresMustSucceed: false };
    const { image, task } = await service.import(raw, wanted);
    const why = 'store "a" could not be filled: unavailable: Store "a": its server does not answer';
    expect(puts()).toBe(3);
    expect(image).toMatchObject({ status: 'active', locations: [{ store: 'b' }] });
    expect(image.properties).toMatchObject({ os_glance_failed_import: 'a', os_glance_import_error: why });
    expect(task.message).toContain(why);
  });
});

test('what lies in several stores is read from the one with the highest weight that has it', async () => {
  const { service, parts } = await openWholeService({
    configFiles: [world.configFile],
    environment: {},
    overrides: { ...TO_RAW, 'b.weight': '5' },
  });
  try {
    const { image } = await service.import(raw, { diskFormat: 'raw', allStores: true });
    const [a, b] = image.locations.map(({ store, location }) => world.storePath(store, location));
    await writeFile(a ?? '', 'from a');
    await writeFile(b ?? '', 'from b');
    const read = async (): Promise<string> => {
      const data = await openStoredPlace(parts.stores, image);
      return (await gather(data?.read() ?? (async function* () {})())).toString();
    };
    expect(await read()).toBe('from b');
    await parts.stores.get('b')?.delete(image.locations[1]?.location ?? '');
    expect(await read()).toBe('from a');
  } finally {
    await service.close();
  }
});

describe('with a store on an S3 server', () => {
  let server: S3Server;
  let proxy: S3Proxy;
  beforeAll(async () => {
    server = await startRadosgw();
  });
  afterAll(async () => server?.stop());
  beforeEach(async () => {
    proxy = await startS3Proxy(server.endpoint);
  });
  afterEach(() => proxy.stop());

  const parts = (): readonly string[] => proxy.calls.filter((call) => call.includes('partNumber'));
  const overrides = (): Readonly<Record<string, string>> => ({
    ...TO_RAW,
    'DEFAULT.enabled_backends': 'a:file, s:s3',
    's.s3_store_host': proxy.endpoint,
    's.s3_store_access_key': server.accessKey,
    's.s3_store_secret_key': server.secretKey,
    's.s3_store_bucket': 'several',
    's.s3_store_create_bucket_on_put': 'true',
    's.s3_store_large_object_chunk_size': '5',
    's.s3_store_thread_pools': '1',
  });

  test('an import that is stopped in the middle of its upload goes on with the parts that are missing', async () => {
    const bytes = randomBytes(8 * 5 * 2 ** 20);
    await writeFile(raw, bytes);
    const first = await world.open({ overrides: overrides() });
    const stopped = first.import(raw, {
      diskFormat: 'raw',
      stores: ['a', 's'],
      onProgress: ({ progress }) => {
        if (progress.phase === 'store s' && progress.doneBytes > 0) void first.close();
      },
    });
    expect(await stopped.catch(() => 'stopped')).toBe('stopped');
    const sent = parts().length;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(8);
    const second = await world.open({ overrides: overrides() });
    const { image, resumed } = await second.import(raw, { diskFormat: 'raw', stores: ['a', 's'] });
    expect(resumed).toBe(true);
    expect(new Set(parts()).size).toBe(8);
    // The part on its way when it was stopped may have been sent twice.
    expect(parts().length).toBeLessThanOrEqual(9);
    expect(image.locations.map(({ store }) => store)).toEqual(['a', 's']);
    expect(image.osHashValue).toBe(await sha512(raw));
    const stored = world.storePath('a', image.locations[0]?.location ?? '');
    expect((await readFile(stored)).equals(bytes)).toBe(true);
    expect(createHash('sha512').update(bytes).digest('hex')).toBe(image.osHashValue);
  });

  test('that is not there: the import fails, and says so; what is left there goes with the next start', async () => {
    await writeFile(raw, randomBytes(6 * 5 * 2 ** 20));
    let reached = 0;
    proxy.treat = (call) => (call.includes('partNumber=3') && reached++ >= 0 ? 'unavailable' : 'pass');
    const options = { ...overrides(), 's.s3_store_max_attempts': '1' };
    const service = await world.open({ overrides: options });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw', stores: ['s'] }));
    expect(error).toMatchObject({
      code: 'unavailable',
      message: 'Store "s": the image could not be stored: its server does not answer',
    });
    // The image may be tried again; until then nothing of it takes room.
    const image = await service.image(error.task.imageId ?? '');
    expect(image).toMatchObject({ status: 'queued', properties: { os_glance_failed_import: 's' } });
    expect(proxy.calls.filter((call) => call === 'DELETE uploadId').length).toBeGreaterThan(0);
    proxy.treat = undefined;
    const { image: active } = await service.import(raw, { imageId: image.id, stores: ['s'] });
    expect(active).toMatchObject({ status: 'active', locations: [{ store: 's' }] });
    expect(active.properties).not.toHaveProperty('os_glance_import_error');
  });
});

test('a location on the web is read like any other', async () => {
  const server = createServer((_call, answer) => void answer.end('on the web'));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const { service, parts } = await openWholeService({
    configFiles: [world.configFile],
    environment: {},
    overrides: { ...WITH_WEB, 'w.http_allowed_addresses': '127.0.0.1' },
  });
  try {
    const location = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`;
    const { image } = await service.import(raw, { diskFormat: 'raw' });
    const data = await openStoredPlace(parts.stores, { ...image, locations: [{ store: 'w', location }] });
    expect((await gather(data?.read() ?? (async function* () {})())).toString()).toBe('on the web');
  } finally {
    await service.close();
    server.close();
  }
});
