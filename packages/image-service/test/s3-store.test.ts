import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import type { S3StoreOptions } from '../src/store/s3/s3-store.ts';
import { s3Store } from '../src/store/s3/s3-store.ts';
import type { BlobFile, ImageStore } from '../src/store/store.ts';
import type { S3Proxy } from './s3-proxy.ts';
import { startS3Proxy } from './s3-proxy.ts';
import { bucketContents, s3Options } from './s3-world.ts';
import { gather, imageIds } from './store-conformance.ts';

const INSTANCE = '33333333-3333-4333-8333-333333333333';
const PART = 5 * 2 ** 20;
/** Five parts, the last a short one. */
const bytes = randomBytes(4 * PART + 12_345);
const digest = createHash('sha256').update(bytes).digest('hex');
const nextId = imageIds();

let server: S3Server;
let proxy: S3Proxy;
let options: S3StoreOptions;
let store: ImageStore;
let dir: string;
let content: BlobFile;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-s3-'));
  content = { path: join(dir, 'content'), sizeBytes: bytes.length };
  await writeFile(content.path, bytes);
  server = await startRadosgw();
});
afterAll(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  proxy = await startS3Proxy(server.endpoint);
  options = s3Options({ ...server, endpoint: proxy.endpoint }, { instanceId: INSTANCE, bucket: 'tests' });
  store = s3Store(options);
});
afterEach(() => proxy.stop());

const partsSent = (): readonly string[] => proxy.calls.filter((call) => call.includes('partNumber')).toSorted();
const partCall = (number: number): string => `PUT partNumber=${number} uploadId`;
const all = [1, 2, 3, 4, 5];

/** The digest of what is stored; deletes it, and makes sure that then nothing is left. */
async function takeOut(location: string): Promise<string> {
  const read = await gather(store.read(location));
  await store.delete(location);
  expect(await bucketContents(options)).toEqual([]);
  return createHash('sha256').update(read).digest('hex');
}

/** Stops a put once it has stored `count` parts; gives the numbers of the parts that were sent. */
async function stoppedAfter(count: number, owner: { imageId: string; epoch: number }): Promise<readonly string[]> {
  const stop = new AbortController();
  let done = 0;
  const onBytes = (): void => {
    if (++done >= count) stop.abort(new Error('stopped'));
  };
  const put = s3Store({ ...options, lanes: 1 }).put(owner, content, { signal: stop.signal, onBytes });
  await expect(put).rejects.toThrow('stopped');
  const sent = partsSent();
  proxy.calls.length = 0;
  return sent;
}

describe('an upload that was cut off', () => {
  test('goes on with the parts that are missing, in another process and another attempt', async () => {
    const imageId = nextId();
    expect(await stoppedAfter(2, { imageId, epoch: 1 })).toEqual([1, 2].map(partCall));
    const { location } = await store.put({ imageId, epoch: 2 }, content);
    expect(partsSent()).toEqual([3, 4, 5].map(partCall));
    expect(await takeOut(location)).toBe(digest);
  });

  test('does not trust parts of another content', async () => {
    const imageId = nextId();
    await stoppedAfter(3, { imageId, epoch: 1 });
    const changed = { path: join(dir, 'changed'), sizeBytes: bytes.length };
    const other = Buffer.from(bytes);
    other.writeUInt8(other.readUInt8(PART + 5) ^ 1, PART + 5);
    await writeFile(changed.path, other);
    const { location } = await store.put({ imageId, epoch: 2 }, changed);
    expect(partsSent()).toEqual([2, 4, 5].map(partCall));
    expect((await gather(store.read(location))).equals(other)).toBe(true);
    await store.delete(location);
  });

  test('of a later attempt is left alone by an earlier one', async () => {
    const imageId = nextId();
    await stoppedAfter(1, { imageId, epoch: 9 });
    const { location } = await store.put({ imageId, epoch: 8 }, content);
    expect(location).toBe(`${INSTANCE}/${imageId}.8`);
    expect(partsSent()).toEqual(all.map(partCall));
    expect(await bucketContents(options)).toEqual([location, `unfinished ${INSTANCE}/${imageId}.9`].toSorted());
    await store.discardUnfinished(imageId);
    expect(await takeOut(location)).toBe(digest);
  });

  test('begins anew when somebody aborts it on the way', async () => {
    const imageId = nextId();
    await stoppedAfter(2, { imageId, epoch: 1 });
    let aborted = false;
    const onBytes = (): void => {
      if (!aborted) void s3Store(options).discardUnfinished(imageId);
      aborted = true;
    };
    const { location } = await store.put({ imageId, epoch: 2 }, content, { onBytes });
    expect(await takeOut(location)).toBe(digest);
  });
});

describe('a server in trouble', () => {
  test('that is busy for a moment is asked again', async () => {
    const refused = new Set<string>();
    proxy.treat = (call) => {
      const first = !refused.has(call);
      refused.add(call);
      return first ? 'unavailable' : 'pass';
    };
    const { location } = await store.put({ imageId: nextId(), epoch: 1 }, content);
    expect(await takeOut(location)).toBe(digest);
  });

  test('that stays busy is unavailable; the parts it has stay for the next try', async () => {
    const imageId = nextId();
    proxy.treat = (call) => (call === partCall(4) ? 'unavailable' : 'pass');
    const put = s3Store({ ...options, lanes: 1 }).put({ imageId, epoch: 1 }, content);
    await expect(put).rejects.toMatchObject({
      code: 'unavailable',
      message: 'Store "s": the image could not be stored: its server does not answer',
    });
    expect(await store.blobsOf(imageId)).toEqual([]);
    proxy.treat = undefined;
    proxy.calls.length = 0;
    const { location } = await store.put({ imageId, epoch: 1 }, content);
    expect(partsSent()).toEqual([4, 5].map(partCall));
    expect(await takeOut(location)).toBe(digest);
  });

  test('that says nothing is given up after the time limit', async () => {
    proxy.treat = () => 'silence';
    const connection = { ...options.connection, idleTimeoutMs: 300, attempts: 1 };
    const quick = s3Store({ ...options, connection });
    const location = `${INSTANCE}/${nextId()}.1`;
    await expect(quick.stat(location)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(gather(quick.read(location))).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('whose answer to the completion is lost has stored the image all the same', async () => {
    let lost = 0;
    proxy.treat = (call) => (call === 'POST uploadId' && lost++ === 0 ? 'pass, answer lost' : 'pass');
    const { location } = await store.put({ imageId: nextId(), epoch: 1 }, content);
    expect(lost).toBeGreaterThan(1);
    expect(await takeOut(location)).toBe(digest);
  });

  test('that cuts connections is read on where it was cut', async () => {
    const { location } = await store.put({ imageId: nextId(), epoch: 1 }, content);
    proxy.calls.length = 0;
    proxy.treat = (call) => (call === 'GET' ? { cutAfterBytes: 7 * 2 ** 20 } : 'pass');
    expect(
      createHash('sha256')
        .update(await gather(store.read(location)))
        .digest('hex'),
    ).toBe(digest);
    expect(proxy.calls.filter((call) => call === 'GET').length).toBeGreaterThan(2);
    proxy.treat = (call) => (call === 'GET' ? { cutAfterBytes: 0 } : 'pass');
    await expect(gather(store.read(location))).rejects.toMatchObject({ code: 'unavailable' });
    proxy.treat = undefined;
    await store.delete(location);
  });

  test('that is not there is unavailable', async () => {
    await proxy.stop();
    await expect(store.blobsOf(nextId())).rejects.toMatchObject({ code: 'unavailable' });
    proxy = await startS3Proxy(server.endpoint);
  });
});

describe('a store that is not set up right says why', () => {
  test.each([
    { name: 'access key', connection: { accessKey: 'nobody' }, why: 'its server does not know the access key' },
    { name: 'secret key', connection: { secretKey: 'wrong' }, why: 'its server does not accept the secret key' },
  ])('$name', async ({ connection, why }) => {
    const wrong = s3Store({ ...options, connection: { ...options.connection, ...connection } });
    const put = wrong.put({ imageId: nextId(), epoch: 1 }, content);
    await expect(put).rejects.toMatchObject({
      code: 'io',
      message: `Store "s": the image could not be stored: ${why}`,
    });
  });

  test('bucket', async () => {
    const wrong = s3Store({ ...options, bucket: 'nowhere', createBucket: false });
    const owner = { imageId: nextId(), epoch: 1 };
    await expect(wrong.put(owner, content)).rejects.toMatchObject({
      code: 'io',
      message: 'Store "s": the image could not be stored: its bucket does not exist',
    });
    expect(await wrong.blobsOf(owner.imageId)).toEqual([]);
  });
});
