import { Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DATABASE_KINDS, makeDatabase } from '../../../test/databases.ts';
import type { ImageRecord } from '../image.ts';
import { IMPORT_TASK_PROPERTY } from '../image.ts';
import { limitedCatalog } from '../limited-catalog.ts';
import type { ProjectLimits } from '../quota.ts';
import { projectLimits, UNLIMITED } from '../quota.ts';
import type { Catalog } from '../repositories.ts';
import { openCatalog } from './catalog.ts';
import { migrateDatabase } from './migrate.ts';
import { CATALOG_MIGRATIONS } from './migrations.ts';
import type { CatalogTables } from './tables.ts';

const OVER = { code: 'over_quota' };

/** How many of the works succeeded; those that did not were refused by a limit. */
async function succeeded(works: readonly Promise<unknown>[]): Promise<number> {
  const settled = await Promise.allSettled(works);
  const refused = settled.filter((each) => each.status === 'rejected');
  expect(refused.map((each) => (each.reason as { code?: unknown }).code)).toEqual(refused.map(() => OVER.code));
  return settled.length - refused.length;
}

async function insert(catalog: Catalog, id: string): Promise<ImageRecord> {
  return catalog.images.insert({ id, owner: 'p', diskFormat: 'raw', containerFormat: 'bare' });
}

function activate(catalog: Catalog, image: ImageRecord, size: number): Promise<ImageRecord> {
  return catalog.images.save(image, { status: 'active', size, locations: [{ store: 's', location: image.id }] });
}

describe.each(DATABASE_KINDS)('limits of projects on %s', (kind) => {
  const closing: (() => Promise<void>)[] = [];
  let makeCatalog: (limits: Partial<ProjectLimits>, overrides?: Record<string, ProjectLimits>) => Promise<Catalog>;

  beforeEach(async () => {
    const database = await makeDatabase(kind, (work) => closing.push(work));
    const db = new Kysely<CatalogTables>({ dialect: database.dialect() });
    closing.unshift(() => db.destroy());
    await migrateDatabase(db, CATALOG_MIGRATIONS, { now: Date.now });
    const catalog = await openCatalog(db, Date.now);
    makeCatalog = async (limits, overrides = {}) =>
      limitedCatalog(
        catalog,
        projectLimits({ general: { ...UNLIMITED, ...limits }, overrides: new Map(Object.entries(overrides)) }),
      );
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  test('images: as many as there may be, also when many come at once; others and overrides count by themselves', async () => {
    const catalog = await makeCatalog({ images: 3 }, { q: { ...UNLIMITED, images: 1 } });
    expect(await succeeded([...'abcdefgh'].map((id) => insert(catalog, id)))).toBe(3);
    const ofQ = ['1', '2'].map((id) => catalog.images.insert({ id, owner: 'q' }));
    expect(await succeeded(ofQ)).toBe(1);
    expect(await succeeded(['3', '4', '5', '6'].map((id) => catalog.images.insert({ id, owner: null })))).toBe(3);
    const [first] = await catalog.images.list({ owner: 'p' });
    if (first === undefined) throw new Error('assertion failed: there is an image');
    await catalog.images.save(first, { status: 'deleted' });
    expect((await insert(catalog, 'z')).id).toBe('z');
  });

  test('the refusal says what is limited', async () => {
    const catalog = await makeCatalog({ images: 0 });
    await expect(insert(catalog, 'a')).rejects.toMatchObject({
      ...OVER,
      message: 'image_count_total is limited to 0 images: the project has 0, and 1 more would be too many',
    });
  });

  test('uploads at the same time: by state and by the lock of a task', async () => {
    const catalog = await makeCatalog({ uploading: 2 });
    const images = [];
    for (const id of ['a', 'b', 'c', 'd']) images.push(await insert(catalog, id));
    const [a, b, c, d] = images as [ImageRecord, ImageRecord, ImageRecord, ImageRecord];
    const beginnings = [
      catalog.images.save(a, { status: 'saving' }),
      catalog.images.save(b, { status: 'uploading' }),
      catalog.images.save(c, { properties: { [IMPORT_TASK_PROPERTY]: 't' } }),
      catalog.images.save(d, { status: 'importing' }),
    ];
    expect(await succeeded(beginnings)).toBe(2);
    const busy = (await catalog.images.list({ owner: 'p' })).find(({ revision }) => revision > 1);
    if (busy === undefined) throw new Error('assertion failed: two have begun');
    await catalog.images.save(busy, { status: 'deleted', properties: {} });
    const waiting = (await catalog.images.list({ owner: 'p' })).filter(({ revision }) => revision === 1);
    const works = waiting.map((image) => catalog.images.save(image, { status: 'saving' }));
    expect(await succeeded(works)).toBe(1);
  });

  test('bytes: what is promised counts until the image is at rest; no two promises are of the same bytes', async () => {
    const catalog = await makeCatalog({ storedBytes: 100 });
    const images = await Promise.all(['a', 'b', 'c'].map((id) => insert(catalog, id)));
    const filling = await Promise.all(images.map((image) => catalog.images.save(image, { status: 'saving' })));
    const wish = { kind: 'storedBytes', atLeast: 40, wished: 40 } as const;
    expect(await succeeded(filling.map(({ id }) => catalog.reservations.promise(id, wish)))).toBe(2);
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 80, uploading: 3 });
    const promised = [];
    for (const image of filling) if ((await catalog.reservations.of(image.id)).storedBytes > 0) promised.push(image);
    const [first, second] = promised as [ImageRecord, ImageRecord];
    expect(await catalog.reservations.promise(first.id, { kind: 'storedBytes', atLeast: 41, wished: 1000 })).toBe(60);
    await expect(
      catalog.reservations.promise(first.id, { kind: 'storedBytes', atLeast: 61, wished: 61 }),
    ).rejects.toMatchObject(OVER);
    await activate(catalog, first, 55);
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 95 });
    await catalog.images.save(second, { status: 'queued' });
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 55, uploading: 1 });
  });

  test('what was promised to an image that died on its way does not count when it begins anew', async () => {
    const catalog = await makeCatalog({ stagedBytes: 100 });
    const image = await catalog.images.save(await insert(catalog, 'a'), { status: 'uploading' });
    await catalog.reservations.promise('a', { kind: 'stagedBytes', atLeast: 90, wished: 90 });
    const again = await catalog.images.save(await catalog.images.save(image, { status: 'queued' }), {
      status: 'uploading',
    });
    expect(await catalog.images.usage('p')).toMatchObject({ stagedBytes: 0 });
    await catalog.reservations.promise('a', { kind: 'stagedBytes', atLeast: 100, wished: 100 });
    // It stays promised on the way from staging to the import.
    await catalog.images.save(again, { status: 'importing', properties: { [IMPORT_TASK_PROPERTY]: 't' } });
    expect(await catalog.images.usage('p')).toMatchObject({ stagedBytes: 100 });
  });

  test('of an image that is filled further, what is recorded is taken from what was promised', async () => {
    const catalog = await makeCatalog({ storedBytes: 100 });
    const image = await activate(
      catalog,
      await catalog.images.save(await insert(catalog, 'a'), { status: 'saving' }),
      30,
    );
    const lock = { [IMPORT_TASK_PROPERTY]: 't' };
    const locked = await catalog.transaction(async ({ images, reservations }) => {
      const saved = await images.save(image, { properties: lock });
      await reservations.promise('a', { kind: 'storedBytes', atLeast: 60, wished: 60 });
      return saved;
    });
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 90 });
    const locations = [...locked.locations, { store: 't', location: 'x' }];
    const twice = await catalog.images.save(locked, { locations });
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 90 });
    await catalog.images.save(twice, { properties: {} });
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 60 });
  });

  test('a promise that is too much undoes the transaction around it', async () => {
    const catalog = await makeCatalog({ storedBytes: 100 });
    const image = await activate(
      catalog,
      await catalog.images.save(await insert(catalog, 'a'), { status: 'saving' }),
      30,
    );
    const work = catalog.transaction(async ({ images, reservations }) => {
      await images.save(image, { properties: { [IMPORT_TASK_PROPERTY]: 't' } });
      await reservations.promise('a', { kind: 'storedBytes', atLeast: 71, wished: 71 });
    });
    await expect(work).rejects.toMatchObject(OVER);
    expect((await catalog.images.get('a')).properties).toEqual({});
  });

  test('nothing is recorded that would be too much, whatever was promised; several places count several times', async () => {
    const catalog = await makeCatalog({ storedBytes: 100 });
    const image = await catalog.images.save(await insert(catalog, 'a'), { status: 'importing' });
    await expect(activate(catalog, image, 101)).rejects.toMatchObject(OVER);
    const active = await activate(catalog, image, 40);
    const twice = [...active.locations, { store: 't', location: 'x' }];
    const both = await catalog.images.save(active, { locations: twice });
    await expect(
      catalog.transaction(({ images }) => images.save(both, { locations: [...twice, { store: 'u', location: 'x' }] })),
    ).rejects.toMatchObject(OVER);
    // Less is always allowed, and a change of something else too.
    const strict = await makeCatalog({ storedBytes: 10 });
    await strict.images.save(both, { name: 'n', locations: active.locations });
    expect(await catalog.images.usage('p')).toMatchObject({ storedBytes: 40 });
  });

  test('members: as many as there may be, also when many come at once', async () => {
    const catalog = await makeCatalog({});
    await insert(catalog, 'a');
    expect(await succeeded([...'qrstuv'].map((member) => catalog.members.insert('a', member, 3)))).toBe(3);
    expect(await catalog.members.list('a')).toHaveLength(3);
  });
});
