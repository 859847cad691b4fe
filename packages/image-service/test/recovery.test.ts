import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IncomingData } from '../src/import/image-data.ts';
import { stageData, uploadData } from '../src/import/image-data.ts';
import { incomingHolds } from '../src/import/incoming-holds.ts';
import { recoverImages } from '../src/import/recovery.ts';
import type { WholeService } from '../src/main.ts';
import { openWholeService } from '../src/main.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import type { World } from './world.ts';
import { makeWorld } from './world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld();
});
afterAll(() => world.remove());

async function created(): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare' };
  return String((await world.call('POST /v2/images', { body })).json['id']);
}

/** Makes the record of an image say what it said at the moment of a kill. */
function rewind(id: string, statements: readonly string[]): void {
  const database = new DatabaseSync(join(world.dir, 'state', 'state.db'));
  for (const statement of statements) database.prepare(statement).run(id);
  database.close();
}

test('data that was staged whole before a kill can be imported, whatever the record had heard of it', async () => {
  const id = await created();
  await world.call(`PUT /v2/images/${id}/stage`, { body: Buffer.alloc(70_000, 1), headers: OCTETS });
  rewind(id, ['update images set size = null where id = ?']);
  await world.restart();
  expect((await world.call(`GET /v2/images/${id}`)).json).toMatchObject({ status: 'uploading', size: 70_000 });
  const answer = await world.call(`POST /v2/images/${id}/import`, { body: { method: { name: 'glance-direct' } } });
  expect(answer.status).toBe(202);
});

test('data that had arrived for an image that was deleted meanwhile is removed after a kill', async () => {
  const id = await created();
  const property = `insert into image_properties (image_id, name, value) values (?, 'os_glance_importing_to_stores', 'b')`;
  rewind(id, [`update images set status = 'deleted', deleted_at = 1 where id = ?`, property]);
  await writeFile(world.storePath('b', `${id}.2`), 'arrived');
  await world.restart();
  expect((await world.files()).filter((path) => path.includes(id))).toEqual([]);
});

describe('while other processes are at work', () => {
  const SCOPE = { node: 'here', company: 'beside others', staging: 'shared', now: Date.now } as const;
  const id = '11111111-1111-4111-8111-111111111111';
  let other: World;
  let whole: WholeService;

  beforeAll(async () => {
    other = await makeWorld();
    whole = await openWholeService({ configFiles: [other.configFile], environment: {} });
    await whole.parts.catalog.images.insert({ id, diskFormat: 'raw', containerFormat: 'bare' });
  });
  afterAll(async () => {
    await whole.service.close();
    await other.remove();
  });

  test('half-written data of an upload that was cut off is removed', async () => {
    const { parts } = whole;
    await parts.catalog.images.save(await parts.catalog.images.get(id), { status: 'saving' });
    await writeFile(other.storePath('b', `.${parts.catalog.instanceId}.${id}.2`), 'half');
    await recoverImages(parts, SCOPE);
    expect((await parts.catalog.images.get(id)).status).toBe('queued');
    expect(await other.files()).toEqual([]);
  });

  test('an upload that begins just then is left alone', async () => {
    const { images, incomingHolds } = whole.parts.catalog;
    const begin = once(async () => {
      await incomingHolds.keep({ id: 'hold', imageId: id, node: 'there', expiresAt: Date.now() + 60_000 });
      await images.save(await images.get(id), { status: 'saving' });
    });
    const holds = { ...incomingHolds, list: () => incomingHolds.list().finally(begin) };
    await recoverImages({ ...whole.parts, catalog: { ...whole.parts.catalog, incomingHolds: holds } }, SCOPE);
    expect((await images.get(id)).status).toBe('saving');
  });

  test('an upload that ends just then keeps its data', async () => {
    const { images, incomingHolds } = whole.parts.catalog;
    await writeFile(other.storePath('b', `${id}.3`), 'whole');
    const end = once(async () => {
      const locations = [{ store: 'b', location: `${id}.3` }];
      await images.save(await images.get(id), { status: 'active', size: 5, locations });
      await incomingHolds.release('hold');
    });
    const list: typeof images.list = (query) => images.list(query).finally(query.status === 'saving' ? end : () => {});
    await recoverImages({ ...whole.parts, catalog: { ...whole.parts.catalog, images: { ...images, list } } }, SCOPE);
    expect(await other.files()).toEqual([`store-b/${id}.3`]);
  });

  test('a database that dies meanwhile costs nobody staged data', async () => {
    const { catalog, uploads } = whole.parts;
    const imageId = '33333333-3333-4333-8333-333333333333';
    const image = await catalog.images.insert({ id: imageId, diskFormat: 'raw', containerFormat: 'bare' });
    const { revision: epoch } = await catalog.images.save(image, { status: 'uploading', size: 1 });
    await uploads.keep({ imageId, epoch }, { bytes: Readable.from([new Uint8Array(1)]) });
    let isDead = false;
    const get: typeof catalog.images.get = (id) =>
      isDead ? Promise.reject(new Error('Connection terminated unexpectedly')) : catalog.images.get(id);
    const keepOnly: typeof uploads.keepOnly = (choose) =>
      uploads.keepOnly((ids) => {
        isDead = true;
        return choose(ids);
      });
    const dying = {
      ...whole.parts,
      uploads: { ...uploads, keepOnly },
      catalog: { ...catalog, images: { ...catalog.images, get } },
    };
    await expect(recoverImages(dying, SCOPE)).rejects.toThrow('Connection terminated');
    expect(await uploads.sizeOf(imageId)).toBe(1);
  });
});

describe('who was frozen until others gave its upload up', () => {
  const FIRST = Buffer.alloc(70_000, 1);
  const SECOND = Buffer.alloc(80_000, 2);
  const LIMITS = { maxBytes: 2 ** 30, stallMs: 60_000 };
  const LATER = { node: 'here', company: 'beside others', staging: 'shared', now: () => Date.now() + 100_000 } as const;
  let other: World;
  let whole: WholeService;

  beforeAll(async () => {
    other = await makeWorld();
    whole = await openWholeService({ configFiles: [other.configFile], environment: {} });
  });
  afterAll(async () => {
    await whole.service.close();
    await other.remove();
  });

  type Send = (parts: WholeService['parts'], data: IncomingData) => Promise<unknown>;

  /** Sends `FIRST` by a process that freezes at that point, then `SECOND` by another; gives what became of the first. */
  async function sendTwice(imageId: string, freezes: 'sending' | 'inspecting', send: Send): Promise<unknown> {
    const { parts } = whole;
    const { images, incomingHolds: holds } = parts.catalog;
    await images.insert({ id: imageId, diskFormat: 'raw', containerFormat: 'bare' });
    const frozen = Promise.withResolvers<void>();
    const thawed = Promise.withResolvers<void>();
    const freeze = once(async () => {
      frozen.resolve();
      await thawed.promise;
    });
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield FIRST;
      if (freezes === 'sending') await freeze();
    }
    const inspectSource: typeof parts.tools.inspectSource = async (...given) => {
      await freeze();
      return parts.tools.inspectSource(...given);
    };
    const firstParts = { ...parts, tools: { ...parts.tools, inspectSource } };
    const process = incomingHolds({ holds, node: 'there', now: Date.now, log: () => {} });
    const first = process.during(imageId, (stillHeld) =>
      send(firstParts, { imageId, bytes: bytes(), limits: LIMITS, stillHeld }),
    );
    const end = first.catch((error: unknown) => error);
    await frozen.promise;
    await recoverImages(parts, LATER);
    expect((await images.get(imageId)).status).toBe('queued');
    await send(parts, { imageId, bytes: Readable.from([SECOND]), limits: LIMITS });
    thawed.resolve();
    return end;
  }

  test.each(['sending', 'inspecting'] as const)('stores nothing any more: %s', async (freezes) => {
    const id = freezes === 'sending' ? '22222222-2222-4222-8222-222222222222' : '44444444-4444-4444-8444-444444444444';
    expect(await sendTwice(id, freezes, uploadData)).toMatchObject({ code: 'conflict' });
    const { status, size, locations } = await whole.parts.catalog.images.get(id);
    expect({ status, size }).toEqual({ status: 'active', size: SECOND.length });
    const stored = (await other.files()).filter((path) => path.includes(id));
    expect(stored).toEqual(locations.map(({ store, location }) => `store-${store}/${location}`));
  });

  test('goes on when nobody did', async () => {
    const { parts } = whole;
    const id = '55555555-5555-4555-8555-555555555555';
    await parts.catalog.images.insert({ id, diskFormat: 'raw', containerFormat: 'bare' });
    let clock = Date.now() - 200_000;
    const process = incomingHolds({
      holds: parts.catalog.incomingHolds,
      node: 'there',
      now: () => clock,
      log: () => {},
    });
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield FIRST;
      clock = Date.now();
    }
    await process.during(id, (stillHeld) =>
      uploadData(parts, { imageId: id, bytes: bytes(), limits: LIMITS, stillHeld }),
    );
    expect(await parts.catalog.images.get(id)).toMatchObject({ status: 'active', size: FIRST.length });
  });

  test('goes on when it thawed in the moment when others looked', async () => {
    const { parts } = whole;
    const id = '66666666-6666-4666-8666-666666666666';
    const { incomingHolds: holds, images } = parts.catalog;
    await images.insert({ id, diskFormat: 'raw', containerFormat: 'bare' });
    await images.save(await images.get(id), { status: 'saving' });
    await holds.keep({ id: 'thawing', imageId: id, node: 'there', expiresAt: Date.now() - 1 });
    const renew = once(async () => {
      await holds.renew('thawing', Date.now() + 60_000);
    });
    const catalog = { ...parts.catalog, incomingHolds: { ...holds, list: () => holds.list().finally(renew) } };
    await recoverImages({ ...parts, catalog }, { ...LATER, now: Date.now });
    expect((await images.get(id)).status).toBe('saving');
    await holds.release('thawing');
  });

  test('stages nothing any more', async () => {
    const id = '33333333-3333-4333-8333-333333333333';
    expect(await sendTwice(id, 'sending', stageData)).toMatchObject({ code: 'conflict' });
    expect(await whole.parts.catalog.images.get(id)).toMatchObject({ status: 'uploading', size: SECOND.length });
    const [directory, ...staged] = (await other.files()).filter((path) => path.includes(id));
    expect(staged).toEqual([`${directory}/data`]);
    expect((await readFile(join(other.dir, String(staged[0])))).equals(SECOND)).toBe(true);
  });
});

/** Does the work the first time, and nothing after that. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}
