import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import type { StagedData } from '../src/import/staged/staged-data.ts';
import { stagedObjects } from '../src/import/staged/staged-objects.ts';
import type { ImageServer } from '../src/server.ts';
import { serveImages } from '../src/server.ts';
import { beginUpload } from '../src/store/s3/upload.ts';
import type { S3StoreOptions } from '../src/store/s3/s3-store.ts';
import { s3Store } from '../src/store/s3/s3-store.ts';
import type { BlobStream } from '../src/store/store.ts';
import type { S3Proxy } from './s3-proxy.ts';
import { startS3Proxy } from './s3-proxy.ts';
import { bucketContents, s3Options, s3Place } from './s3-world.ts';
import { gather } from './store-conformance.ts';
import type { World } from './world.ts';
import { makeWorld, readingHere } from './world.ts';

const MEBIBYTE = 2 ** 20;
/** More than one part. */
const SOURCE = Buffer.concat([Buffer.alloc(4096, 0x55), randomBytes(11 * MEBIBYTE), Buffer.alloc(2 * MEBIBYTE)]);
const BUCKET = 'staging';

let server: S3Server;
let world: World;
let proxy: S3Proxy;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startRadosgw();
});
afterAll(() => server?.stop());
beforeEach(async () => {
  world = await makeWorld();
  closing.push(() => world.remove());
  proxy = await startS3Proxy(server.endpoint);
  closing.push(() => proxy.stop());
  const text = await readFile(world.configFile, 'utf8');
  const staging = `[os_glance_staging_store]
s3_store_host = ${proxy.endpoint}
s3_store_access_key = ${server.accessKey}
s3_store_secret_key = ${server.secretKey}
s3_store_bucket = ${BUCKET}
s3_store_create_bucket_on_put = true
s3_store_large_object_size = 5
s3_store_large_object_chunk_size = 5
s3_store_max_attempts = 1
`;
  await writeFile(world.configFile, text.replace(/\[os_glance_staging_store\]\n.*\n/, staging));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Everything in the staging bucket, whole or not. */
const staged = (): Promise<readonly string[]> =>
  bucketContents(s3Options(server, { instanceId: randomUUID(), bucket: BUCKET })).catch(() => []);

interface Api {
  readonly server: ImageServer;
  call(line: string, body?: BodyInit | Uint8Array, type?: string): Promise<Response>;
  newImage(): Promise<string>;
  /** Asks for the import and waits for its end; gives the last that its task says. */
  imported(image: string): Promise<string>;
}

async function serve(overrides: Readonly<Record<string, string>> = {}): Promise<Api> {
  const opened = await serveImages(
    readingHere({ configFiles: [world.configFile], environment: {}, overrides, port: 0, version: '0' }),
  );
  closing.push(() => opened.close());
  const call: Api['call'] = (line, body, type = 'application/octet-stream') => {
    const [method = '', path = ''] = line.split(' ');
    const sent = body === undefined ? {} : { body, headers: { 'content-type': type }, duplex: 'half' };
    return fetch(`${opened.url}${path}`, { method, ...sent } as RequestInit);
  };
  return {
    server: opened,
    call,
    async newImage() {
      const body = JSON.stringify({ disk_format: 'raw', container_format: 'bare' });
      const answer = await call('POST /v2/images', body, 'application/json');
      return ((await answer.json()) as { readonly id: string }).id;
    },
    async imported(image) {
      const request = JSON.stringify({ method: { name: 'glance-direct' } });
      const answer = await call(`POST /v2/images/${image}/import`, request, 'application/json');
      expect(answer.status).toBe(202);
      return (await call(`GET ${answer.headers.get('location')}/events`)).text();
    },
  };
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function statusOf(api: Api, image: string): Promise<unknown> {
  return ((await (await api.call(`GET /v2/images/${image}`)).json()) as { readonly status: string }).status;
}

async function expectStored(api: Api, image: string, content: Uint8Array = SOURCE): Promise<void> {
  expect(await statusOf(api, image)).toBe('active');
  const stored = await api.call(`GET /v2/images/${image}/file`);
  expect(digest(new Uint8Array(await stored.arrayBuffer()))).toBe(digest(content));
}

describe('one process', () => {
  test('what is staged lies in the bucket until it is imported', async () => {
    const api = await serve();
    const image = await api.newImage();
    expect((await api.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(204);
    expect(await staged()).toEqual([expect.stringMatching(new RegExp(`^[0-9a-f-]{36}-uploads/${image}\\.\\d+$`))]);
    expect(await world.files()).toEqual([]);
    const verdict = await (await api.call(`POST /v2/images/${image}/actions/inspect`)).json();
    expect(verdict).toMatchObject({ place: 'staged', verdict: { format: 'raw', fileSize: SOURCE.length } });
    expect(await api.imported(image)).toMatch(/"status":"success"/);
    await expectStored(api, image);
    expect(await staged()).toEqual([]);
    expect((await world.files()).filter((file) => !file.startsWith('store-a/'))).toEqual([]);
  });

  test('what is done in the bucket is counted as in any store', async () => {
    const api = await serve();
    const image = await api.newImage();
    await api.call(`PUT /v2/images/${image}/stage`, SOURCE);
    await api.imported(image);
    const figures = await (await api.call('GET /metrics')).text();
    for (const operation of ['put', 'read']) {
      const line = `diskmorph_store_bytes_total{store="os_glance_staging_store",operation="${operation}"}`;
      expect(figures).toContain(`${line} ${SOURCE.length}`);
    }
  });

  test('an upload that is converted goes the same way', async () => {
    const api = await serve({ 'image_conversion.convert_uploads': 'true', 'image_conversion.output_format': 'qcow2' });
    const image = await api.newImage();
    expect((await api.call(`PUT /v2/images/${image}/file`, SOURCE)).status).toBe(204);
    const raw = await api.call(`GET /v2/images/${image}/file?format=raw`);
    expect(digest(new Uint8Array(await raw.arrayBuffer()))).toBe(digest(SOURCE));
    expect(proxy.calls).toContain('PUT partNumber=2 uploadId');
    expect(await staged()).toEqual([]);
  });

  test('what goes wrong leaves nothing in the bucket', async () => {
    const api = await serve({ 'DEFAULT.image_size_cap': String(10 * MEBIBYTE) });
    const image = await api.newImage();
    // Without a length, so that what has come before it is too much was sent on.
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(SOURCE) });
    const tooLarge = await api.call(`PUT /v2/images/${image}/stage`, endless);
    expect([tooLarge.status, await statusOf(api, image)]).toEqual([413, 'queued']);
    expect(proxy.calls).toContain('PUT partNumber=1 uploadId');
    expect(await staged()).toEqual([]);
    expect((await api.call(`PUT /v2/images/${image}/stage`, SOURCE.subarray(0, 100_000))).status).toBe(204);
    expect((await staged()).length).toBe(1);
    expect((await api.call(`DELETE /v2/images/${image}`)).status).toBe(204);
    expect(await staged()).toEqual([]);
  });

  test('an import that fails removes what was staged, and the next data is another', async () => {
    const api = await serve();
    const image = await api.newImage();
    const qcow2 = Buffer.from('QFI\xfb\0\0\0\x03 not a disk', 'latin1');
    expect((await api.call(`PUT /v2/images/${image}/stage`, qcow2)).status).toBe(204);
    expect(await api.imported(image)).toMatch(/"error_code":"format_mismatch"/);
    expect([await statusOf(api, image), await staged()]).toEqual(['queued', []]);
    expect((await api.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(204);
    expect(await api.imported(image)).toMatch(/"status":"success"/);
    await expectStored(api, image);
  });

  test('a server that does not answer is told as that; nothing is lost when it comes back', async () => {
    const api = await serve();
    const image = await api.newImage();
    proxy.treat = () => 'unavailable';
    expect((await api.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(503);
    expect(await (await api.call('GET /healthcheck?detailed=1')).text()).toMatch(/Nothing can be staged/);
    proxy.treat = undefined;
    expect((await api.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(204);
    // Each read is cut after some bytes, and goes on where it was.
    proxy.treat = (call) => (call === 'GET' ? { cutAfterBytes: 4 * MEBIBYTE } : 'pass');
    expect(await api.imported(image)).toMatch(/"status":"success"/);
    proxy.treat = undefined;
    await expectStored(api, image);
    expect(await staged()).toEqual([]);
  });

  test('what a process that died has left is removed at the next start, and what waits for its import stays', async () => {
    const first = await serve();
    const image = await first.newImage();
    expect((await first.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(204);
    const [kept = ''] = await staged();
    await closing.pop()?.();
    const instanceId = kept.slice(0, 36);
    const options = { ...s3Options(server, { instanceId, bucket: BUCKET }), purpose: 'uploads' } as const;
    const lost = randomUUID();
    const bytes = (async function* () {
      yield SOURCE;
    })();
    await s3Store(options).put({ imageId: lost, epoch: 1 }, { bytes });
    await beginUpload(s3Place(options), `${instanceId}-uploads/${lost}.2`);
    expect((await staged()).length).toBe(3);
    const second = await serve();
    expect(await staged()).toEqual([kept]);
    expect(await second.imported(image)).toMatch(/"status":"success"/);
    await expectStored(second, image);
  });
});

const content = (text: string): BlobStream => ({ bytes: Readable.from([Buffer.from(text)]) });

async function textOf(data: StagedData, imageId: string): Promise<string> {
  const source = await data.open(imageId);
  const bytes = Buffer.alloc(source?.size ?? 0);
  await source?.read(0, bytes);
  return bytes.toString();
}

describe('staged objects', () => {
  const INSTANCE = '44444444-4444-4444-8444-444444444444';
  const options = (): S3StoreOptions => ({
    ...s3Options(server, { instanceId: INSTANCE, bucket: BUCKET }),
    purpose: 'uploads',
  });

  test('newer data replaces older data; what a sender brings that was given up is not wanted', async () => {
    const store = s3Store(options());
    const data = stagedObjects(store, expect.unreachable);
    const imageId = randomUUID();
    await data.keep({ imageId, epoch: 3 }, content('second'));
    await store.put({ imageId, epoch: 1 }, content('first, too late'));
    expect([await data.sizeOf(imageId), await textOf(data, imageId)]).toEqual([6, 'second']);
    await data.remove(imageId, 1);
    expect(await staged()).toEqual([`${INSTANCE}-uploads/${imageId}.3`]);
    await beginUpload(s3Place(options()), `${INSTANCE}-uploads/${imageId}.4`);
    await data.keep({ imageId, epoch: 7 }, content('third'));
    expect(await staged()).toEqual([`${INSTANCE}-uploads/${imageId}.7`]);
    await data.remove(imageId);
    expect(await staged()).toEqual([]);
    expect(await data.sizeOf(imageId)).toBe(undefined);
  });

  test('finished images in the same bucket are others', async () => {
    const imageId = randomUUID();
    const { purpose: _purpose, ...ofImages } = options();
    const images = s3Store(ofImages);
    const { location } = await images.put({ imageId, epoch: 1 }, content('an image'));
    const data = stagedObjects(s3Store(options()), expect.unreachable);
    expect(await data.sizeOf(imageId)).toBe(undefined);
    await data.keep({ imageId, epoch: 2 }, content('staged'));
    expect(await images.blobsOf(imageId)).toEqual([location]);
    await expect(images.stat(`${INSTANCE}-uploads/${imageId}.2`)).rejects.toMatchObject({ code: 'missing' });
    await expect(s3Store(options()).stat(location)).rejects.toMatchObject({ code: 'missing' });
    await data.keepOnly(async () => []);
    expect(await staged()).toEqual([location]);
    await images.delete(location);
  });

  test('a part of other bytes than those that were begun is never brought', async () => {
    const store = s3Store(options());
    const imageId = randomUUID();
    const { location } = await store.put({ imageId, epoch: 1 }, content('as it was'));
    const { version, sizeBytes } = await store.versionOf(location);
    expect((await gather(store.read(location, { offset: 3, length: 2, version }))).toString()).toBe('it');
    await store.put({ imageId, epoch: 1 }, content('otherwise'));
    const rest = gather(store.read(location, { offset: 3, length: sizeBytes - 3, version }));
    await expect(rest).rejects.toMatchObject({ code: 'missing' });
    await store.delete(location);
  });

  test('a server that does not answer loses nothing: what is to be removed is found later', async () => {
    const { connection, ...rest } = options();
    const said: string[] = [];
    const store = s3Store({ ...rest, connection: { ...connection, endpoint: proxy.endpoint, attempts: 1 } });
    const data = stagedObjects(store, (line) => said.push(line));
    const imageId = randomUUID();
    await data.keep({ imageId, epoch: 1 }, content('staged'));
    proxy.treat = () => 'unavailable';
    await data.remove(imageId);
    await data.keepOnly(async () => []);
    expect(said).toEqual(
      Array(2).fill(expect.stringMatching(/^staged data could not be removed now: .* does not answer$/)),
    );
    proxy.treat = undefined;
    await data.keepOnly(async () => []);
    expect(await staged()).toEqual([]);
  });
});
