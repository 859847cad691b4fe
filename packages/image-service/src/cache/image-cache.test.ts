import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CopyKey } from './cached-name.ts';
import type { HashBytes, ImageCache } from './image-cache.ts';
import { openImageCache } from './image-cache.ts';

let directory: string;
let cache: ImageCache;
let logged: string[];

const hashHere: HashBytes = (bytes) => {
  const hash = createHash('sha512');
  return {
    bytes: (async function* () {
      for await (const piece of bytes) {
        hash.update(piece);
        yield piece;
      }
    })(),
    digest: async () => hash.digest('hex'),
  };
};

function log(message: string): void {
  logged.push(message);
}

async function openCache(maxBytes: number = 10_000): Promise<ImageCache> {
  return openImageCache({ directory, maxBytes, stallMs: 1000, marginBytes: 0, hash: hashHere, now: Date.now, log });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-cache-'));
  logged = [];
  cache = await openCache();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

interface Sample {
  readonly key: CopyKey;
  readonly bytes: Buffer;
}

function sample(sizeBytes: number): Sample {
  const bytes = randomBytes(sizeBytes);
  return { bytes, key: { imageId: randomUUID(), digest: createHash('sha512').update(bytes).digest('hex') } };
}

async function* pieces(bytes: Buffer, size: number = 700): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

async function gather(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

async function keep({ key, bytes }: Sample, into: ImageCache = cache): Promise<Buffer> {
  return gather(into.keep(key, bytes.length, pieces(bytes)));
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('otherwise');
}

async function copyOf({ key, bytes }: Sample): Promise<Buffer | undefined> {
  const copy = await cache.open(key, bytes.length);
  return copy === undefined ? undefined : gather(copy.read(undefined, nothing));
}

const unfinished = (): Promise<readonly string[]> => readdir(join(directory, 'incomplete'));

test('what passes whole is kept, served with its ranges, and counted', async () => {
  const one = sample(5000);
  expect(await copyOf(one)).toBeUndefined();
  expect((await keep(one)).equals(one.bytes)).toBe(true);
  expect(await cache.list()).toMatchObject([{ ...one.key, sizeBytes: 5000, hits: 0, lastAccessed: null }]);
  expect((await copyOf(one))?.equals(one.bytes)).toBe(true);
  const copy = await cache.open(one.key, 5000);
  const middle = await gather(copy?.read({ offset: 4000, length: 9999 }, nothing) ?? nothing());
  expect(middle.equals(one.bytes.subarray(4000))).toBe(true);
  expect(await cache.list()).toMatchObject([{ hits: 2, lastAccessed: expect.any(Number) }]);
  expect(await unfinished()).toEqual([]);
});

describe('what is not kept', () => {
  test.each([
    { what: 'another digest', change: ({ key, bytes }: Sample) => ({ key, bytes: Buffer.alloc(bytes.length) }) },
    {
      what: 'a key that is no name',
      change: ({ bytes }: Sample) => ({ key: { imageId: '../x', digest: 'y' }, bytes }),
    },
    { what: 'more than there may be', change: ({ key }: Sample) => ({ key, bytes: randomBytes(10_001) }) },
  ])('$what', async ({ change }) => {
    const changed = change(sample(3000));
    expect((await keep(changed)).equals(changed.bytes)).toBe(true);
    expect([await cache.list(), await unfinished()]).toEqual([[], []]);
  });

  test('fewer bytes than were announced', async () => {
    const { key, bytes } = sample(3000);
    await gather(cache.keep(key, 3001, pieces(bytes)));
    expect([await cache.list(), await unfinished()]).toEqual([[], []]);
    expect(logged).toEqual([expect.stringContaining('3000 bytes came instead of 3001')]);
  });

  test('what the reader gave up, and what broke', async () => {
    const one = sample(3000);
    for await (const _piece of cache.keep(one.key, 3000, pieces(one.bytes))) break;
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield one.bytes.subarray(0, 10);
      throw new Error('cut');
    }
    await expect(gather(cache.keep(one.key, 3000, broken()))).rejects.toThrow('cut');
    expect([await cache.list(), await unfinished()]).toEqual([[], []]);
  });

  test('an image that is removed while it is copied', async () => {
    const { key, bytes } = sample(3000);
    async function* removing(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 2000);
      await cache.remove(key.imageId);
      yield bytes.subarray(2000);
    }
    expect((await gather(cache.keep(key, 3000, removing()))).equals(bytes)).toBe(true);
    expect([await cache.list(), await unfinished()]).toEqual([[], []]);
  });
});

test('of two who read the same image one keeps it, both get it', async () => {
  const one = sample(9000);
  const both = await Promise.all([keep(one), keep(one)]);
  expect(both.map((bytes) => bytes.equals(one.bytes))).toEqual([true, true]);
  expect(await cache.list()).toHaveLength(1);
});

test('what was not asked for the longest goes first, before there is too much', async () => {
  const [first, second, third] = [sample(4000), sample(4000), sample(4000)];
  await keep(first);
  await keep(second);
  for (const [index, { key }] of [second, first].entries()) {
    const path = join(directory, `${key.imageId}.${key.digest}`);
    await utimes(path, 1000 + index, 1000 + index);
  }
  await keep(third);
  expect(await copyOf(second)).toBeUndefined();
  expect((await cache.list()).map(({ imageId }) => imageId).toSorted()).toEqual(
    [first.key.imageId, third.key.imageId].toSorted(),
  );
  await copyOf(first);
  const smaller = await openCache(4000);
  expect(await smaller.prune()).toEqual({ files: 1, bytes: 4000 });
  expect(await smaller.prune()).toEqual({ files: 0, bytes: 0 });
  expect(await copyOf(first)).toBeDefined();
});

test('copies beside each other never take more than there may be', async () => {
  const several = Array.from({ length: 6 }, () => sample(4000));
  await Promise.all(several.map((each) => keep(each)));
  const total = (await cache.list()).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(total).toBeLessThanOrEqual(10_000);
});

test('an earlier process leaves nothing unfinished; a copy that is not whole is no copy', async () => {
  const { key, bytes } = sample(100);
  await writeFile(join(directory, 'incomplete', `${key.imageId}.${key.digest}.x`), bytes);
  await writeFile(join(directory, `${key.imageId}.${key.digest}`), bytes.subarray(1));
  cache = await openCache();
  expect(await unfinished()).toEqual([]);
  expect(await cache.open(key, 100)).toBeUndefined();
  expect(await cache.list()).toEqual([]);
});

test('clean removes what nobody wants and what stalled, and leaves the rest', async () => {
  const [wanted, unwanted] = [sample(10), sample(10)];
  await keep(wanted);
  await keep(unwanted);
  await copyOf(wanted);
  await writeFile(join(directory, 'incomplete', 'stalled'), '');
  await utimes(join(directory, 'incomplete', 'stalled'), 1, 1);
  await writeFile(join(directory, 'incomplete', 'fresh'), '');
  await writeFile(join(directory, `${unwanted.key.imageId}.${'0'.repeat(128)}.hits`), '');
  await cache.clean(async ({ imageId }) => imageId === wanted.key.imageId);
  const name = `${wanted.key.imageId}.${wanted.key.digest}`;
  expect((await readdir(directory)).toSorted()).toEqual([name, `${name}.hits`, 'incomplete', 'queue'].toSorted());
  expect(await unfinished()).toEqual(['fresh']);
});

test('a copy that goes away between the look and the reading is read elsewhere', async () => {
  const one = sample(10);
  await keep(one);
  const copy = await cache.open(one.key, 10);
  await cache.clear();
  expect((await gather(copy?.read(undefined, nothing) ?? nothing())).toString()).toBe('otherwise');
});

test('the queue outlives the process, in order', async () => {
  const ids = [randomUUID(), randomUUID()];
  for (const [index, id] of ids.entries()) {
    await cache.queue.enqueue(id);
    await utimes(join(directory, 'queue', id), 1 + index, 1 + index);
  }
  await cache.queue.enqueue('../../etc');
  cache = await openCache();
  expect(await cache.queue.queued()).toEqual(ids);
  await cache.queue.dequeue(ids[0] ?? '');
  expect(await cache.queue.queued()).toEqual([ids[1]]);
});
