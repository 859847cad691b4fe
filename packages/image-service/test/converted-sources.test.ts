import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { isolatedImageTools } from '../src/import/readers/isolated-tools.ts';
import type { RawParts } from '../src/main.ts';
import { StagingError } from '../src/staging/errors.ts';
import type { BlobRange, ImageStore } from '../src/store/store.ts';
import { StoreError } from '../src/store/store.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { openPlans } from './open-plans.ts';
import { qemuImg } from './world.ts';

const MIB = 2 ** 20;
const tools = isolatedImageTools(nodeImageTools(1), {
  memoryBytes: 128 * MIB,
  threads: 1,
  patienceMs: 20_000,
  log: () => {},
});
/** Bytes that were asked of the store, which is one of another machine. */
let asked = 0;
/** Does the store fail? */
let fails: (range: BlobRange | undefined) => boolean = () => false;
/** Is nothing sent? */
let hangs = false;
let begun = 0;
let closed = 0;
/** Readers that were started for downloads. */
let started = 0;
/** What promises of space are answered. */
let refuse: (owner: string) => boolean = () => false;
let world: ApiWorld;
const raw = randomBytes(24 * MIB);
let id: string;

/** Gives nothing, and no end. */
async function* never(): AsyncGenerator<Uint8Array> {
  begun++;
  yield await new Promise<never>(() => {});
}

function remote(store: ImageStore): ImageStore {
  return {
    ...store,
    type: 's3',
    read(location, range, signal) {
      asked += range?.length ?? 0;
      if (fails(range)) throw new StoreError('unavailable', 'The store does not answer');
      return store.read(location, range, signal);
    },
  };
}

function intercept(parts: RawParts): RawParts {
  return {
    ...parts,
    stores: new Map([...parts.stores].map(([name, store]) => [name, remote(store)])),
    tools: {
      ...tools,
      async openInFormat(order, work) {
        started++;
        const image = await tools.openInFormat(order, work);
        return hangs ? { ...image, read: never, close: () => void (closed++, image.close()) } : image;
      },
    },
    staging: {
      ...parts.staging,
      async reserve(owner, ...wish) {
        if (refuse(owner)) throw new StagingError('insufficient_space', 'There is no room');
        await parts.staging.reserve(owner, ...wish);
      },
    },
  };
}

beforeAll(async () => {
  world = await makeApiWorld({ intercept });
  await writeFile(world.path('disk.raw'), raw);
  await qemuImg('convert', '-O', 'qcow2', world.path('disk.raw'), world.path('disk.qcow2'));
  const created = await world.call('POST /v2/images', { body: { disk_format: 'qcow2', container_format: 'bare' } });
  id = String(created.json['id']);
  const body = await readFile(world.path('disk.qcow2'));
  const headers = { 'content-type': 'application/octet-stream' };
  await world.call(`PUT /v2/images/${id}/file`, { body, headers });
});
beforeEach(() => {
  asked = 0;
  started = 0;
  hangs = false;
  fails = () => false;
  refuse = () => false;
});
afterAll(async () => {
  await world.remove();
  await tools.close();
});

async function download(query: string, range?: string): Promise<{ readonly status: number; readonly body: Buffer }> {
  const headers = { accept: 'application/json', ...(range === undefined ? {} : { range: `bytes=${range}` }) };
  const response = await fetch(`${world.url}/v2/images/${id}/file?${query}`, { headers });
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

describe('what is read before the first byte', () => {
  test('of a raw disk is no more than what tells where its bytes lie', async () => {
    const first = await download('format=raw', '0-511');
    expect(first).toMatchObject({ status: 206, body: raw.subarray(0, 512) });
    expect(asked).toBeLessThan(8 * MIB);
  });

  test('of a format with tables of its own is the disk, once for all who ask together', async () => {
    const answers = await Promise.all([0, 511, 1000].map((at) => download('format=vhdx', `${at}-${at}`)));
    expect(answers.map(({ status }) => status)).toEqual([206, 206, 206]);
    expect(asked).toBeGreaterThan(24 * MIB);
    expect(asked).toBeLessThan(32 * MIB);
  });
});

describe('bytes that are in no file of this machine', () => {
  test('are handed over', async () => {
    const { status, body } = await download('format=raw');
    expect([status, body.equals(raw)]).toEqual([200, true]);
  });

  test('that do not come end the download, and nothing else', async () => {
    fails = (range) => (range?.offset ?? 0) > 12 * MIB;
    await expect(download('format=raw')).rejects.toThrow('terminated');
    const { status, body } = await download('format=qcow2&compression=zstd');
    expect([status, body.toString()]).toEqual([503, expect.stringContaining('"error_code":"unavailable"')]);
    fails = () => false;
    expect((await download('format=raw', '0-0')).status).toBe(206);
  });
});

test('who reads one part after the other has one reader for all of them', async () => {
  for (const [from, to] of [
    [0, 99],
    [100, 9 * MIB],
    [5, 5],
  ] as const) {
    const { body } = await download('format=raw', `${from}-${to}`);
    expect(body.equals(raw.subarray(from, to + 1))).toBe(true);
  }
  expect(started).toBeLessThanOrEqual(1);
});

test('a caller that leaves while nothing comes ends the work at once', async () => {
  hangs = true;
  const control = new AbortController();
  const given = fetch(`${world.url}/v2/images/${id}/file?format=vmdk`, { signal: control.signal });
  given.catch(() => {});
  await vi.waitFor(() => expect(begun).toBe(1), { timeout: 20_000 });
  control.abort();
  await vi.waitFor(() => expect(closed).toBe(1), { timeout: 10_000 });
});

describe('room for what is found out about a target', () => {
  test('is promised; without it nothing begins, but a raw disk needs none', async () => {
    refuse = () => true;
    const { status, body } = await download('format=vdi');
    expect([status, body.toString()]).toEqual([503, expect.stringContaining('"error_code":"insufficient_space"')]);
    expect((await download('format=raw', '0-0')).status).toBe(206);
  });

  test('is given back by what was found out before', async () => {
    await download('format=vmdk', '0-0');
    const before = await openPlans(`${world.dir}/work`);
    let refusals = 1;
    refuse = () => refusals-- > 0;
    expect((await download('format=vdi', '0-0')).status).toBe(206);
    expect(await openPlans(`${world.dir}/work`)).toBe(before);
  });
});
