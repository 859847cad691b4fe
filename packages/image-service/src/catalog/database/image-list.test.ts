import { Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NewImage } from '../image.ts';
import type { ImageQuery, ImageViewer } from '../image-query.ts';
import type { Catalog } from '../repositories.ts';
import { openCatalog } from './catalog.ts';
import { migrateDatabase } from './migrate.ts';
import { CATALOG_MIGRATIONS } from './migrations.ts';
import type { CatalogTables } from './tables.ts';
import { DATABASE_KINDS, makeDatabase } from '../../../test/databases.ts';

function own(projectId: string | null): ImageViewer {
  return { projectId, sees: 'own' };
}

describe.each(DATABASE_KINDS)('on %s', (kind) => {
  let db: Kysely<CatalogTables>;
  let catalog: Catalog;
  const closing: (() => Promise<void>)[] = [];
  let clock = 1000;
  const now = (): number => (clock += 1);

  beforeEach(async () => {
    const database = await makeDatabase(kind, (work) => closing.push(work));
    db = new Kysely<CatalogTables>({ dialect: database.dialect() });
    closing.unshift(() => db.destroy());
    await migrateDatabase(db, CATALOG_MIGRATIONS, { now });
    catalog = await openCatalog(db, now);
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  async function insertAll(...images: readonly NewImage[]): Promise<void> {
    for (const image of images) await catalog.images.insert(image);
  }

  async function idsOf(query: ImageQuery): Promise<string> {
    return (await catalog.images.list(query)).map((image) => image.id).join(' ');
  }

  describe('filters', () => {
    const cases: readonly [what: string, query: ImageQuery, ids: string][] = [
      ['a field', { filters: [{ field: 'diskFormat', operator: 'eq', value: 'raw' }] }, 'c a'],
      ['one of several values', { filters: [{ field: 'name', oneOf: ['one', 'three'] }] }, 'c a'],
      ['one of none', { filters: [{ field: 'name', oneOf: [] }] }, ''],
      ['a lower bound', { filters: [{ field: 'minRam', operator: 'gte', value: 2 }] }, 'c b'],
      ['a truth', { filters: [{ field: 'protected', operator: 'eq', value: true }] }, 'b'],
      ['a property', { properties: { os: 'debian' } }, 'b a'],
      ['two properties', { properties: { os: 'debian', arch: 'arm' } }, 'b'],
      ['tags, all of them', { tags: ['x', 'y'] }, 'a'],
    ];
    test.each(cases)('%s', async (_what, query, ids) => {
      await insertAll(
        { id: 'a', name: 'one', diskFormat: 'raw', minRam: 1, properties: { os: 'debian' }, tags: ['y', 'x'] },
        { id: 'b', name: 'two', minRam: 2, protected: true, properties: { os: 'debian', arch: 'arm' }, tags: ['x'] },
        { id: 'c', name: 'three', diskFormat: 'raw', minRam: 3 },
      );
      expect(await idsOf(query)).toBe(ids);
    });
  });

  describe('pages in any order meet every image once', () => {
    const orders: readonly ImageQuery['sort'][] = [
      [],
      [{ field: 'name', direction: 'asc' }],
      [{ field: 'name', direction: 'desc' }],
      [
        { field: 'size', direction: 'asc' },
        { field: 'name', direction: 'desc' },
      ],
      [{ field: 'diskFormat', direction: 'desc' }],
      [{ field: 'id', direction: 'asc' }],
    ];
    test.each(orders)('%j', async (...sort) => {
      await insertAll(
        { id: 'a', name: 'same', size: 3 },
        { id: 'b', name: null, size: 3, diskFormat: 'raw' },
        { id: 'c', name: 'same', diskFormat: 'iso' },
        { id: 'd', name: 'other', size: 1 },
        { id: 'e', name: null, diskFormat: 'raw' },
      );
      const keys = sort.flat().filter((key) => key !== undefined);
      const whole = await idsOf({ sort: keys });
      const paged: string[] = [];
      for (let afterId: string | undefined; paged.length < 5;) {
        const page = await catalog.images.list({ sort: keys, limit: 2, ...(afterId === undefined ? {} : { afterId }) });
        paged.push(...page.map((image) => image.id));
        afterId = paged.at(-1);
      }
      expect(paged.join(' ')).toBe(whole);
    });

    test('an unknown marker is refused', async () => {
      await expect(catalog.images.list({ afterId: 'gone' })).rejects.toMatchObject({ code: 'not_found' });
    });
  });

  describe('who sees what', () => {
    const cases: readonly [who: string, query: ImageQuery, ids: string][] = [
      ['an administrator without a project', { viewer: { projectId: null, sees: 'all' } }, 'shared public private'],
      ['an owner', { viewer: own('owner') }, 'community shared public private'],
      ['a member that accepted', { viewer: own('accepting') }, 'shared public'],
      ['a member that did not answer', { viewer: own('pending') }, 'public'],
      ['that member, asking for it', { viewer: { ...own('pending'), memberStatus: 'pending' } }, 'shared public'],
      ['a stranger', { viewer: own('stranger') }, 'public'],
      ['a stranger asking for community', { viewer: own('stranger'), visibility: 'community' }, 'community'],
      ['a stranger asking for all', { viewer: own('stranger'), visibility: 'all' }, 'community public'],
      ['a stranger asking for private', { viewer: own('stranger'), visibility: 'private' }, ''],
      ['nobody', { viewer: own(null) }, 'public'],
    ];
    test.each(cases)('%s', async (_who, query, ids) => {
      for (const visibility of ['private', 'public', 'shared', 'community'] as const) {
        await catalog.images.insert({ id: visibility, visibility, owner: 'owner' });
        await catalog.members.insert(visibility, 'accepting', -1);
        await catalog.members.setStatus(visibility, 'accepting', 'accepted');
        await catalog.members.insert(visibility, 'pending', -1);
      }
      expect(await idsOf(query)).toBe(ids);
    });
  });

  test('tags are kept sorted, each once', async () => {
    const image = await catalog.images.insert({ id: 'a', tags: ['b', 'a', 'b'] });
    expect((await catalog.images.get('a')).tags).toEqual(['a', 'b']);
    await catalog.images.save(image, { tags: ['c'] });
    expect((await catalog.images.get('a')).tags).toEqual(['c']);
  });

  test('a project is a member once, and may be removed once', async () => {
    await insertAll({ id: 'a' });
    expect(await catalog.members.insert('a', 'p', -1)).toMatchObject({ status: 'pending' });
    await expect(catalog.members.insert('a', 'p', -1)).rejects.toMatchObject({ code: 'conflict' });
    expect(await catalog.members.setStatus('a', 'p', 'rejected')).toMatchObject({ status: 'rejected' });
    await catalog.members.remove('a', 'p');
    await expect(catalog.members.remove('a', 'p')).rejects.toMatchObject({ code: 'not_found' });
    await expect(catalog.members.setStatus('a', 'p', 'accepted')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('usage counts each stored copy with its own size', async () => {
    await insertAll({ id: 'a', owner: 'p' }, { id: 'b', owner: 'p' }, { id: 'c', owner: 'q', size: 7 });
    const image = await catalog.images.save(await catalog.images.get('a'), { status: 'saving' });
    expect(await catalog.images.usage('p')).toEqual({ images: 2, storedBytes: 0, uploading: 1, stagedBytes: 0 });
    const locations = ['s', 't'].map((store) => ({ store, location: 'x' }));
    await catalog.images.save(image, { status: 'active', size: 10, locations });
    expect(await catalog.images.usage('p')).toEqual({ images: 2, storedBytes: 20, uploading: 0, stagedBytes: 0 });
    const form = {
      diskFormat: 'raw',
      containerFormat: 'bare',
      size: 100,
      virtualSize: 100,
      checksum: 'c',
      osHashAlgo: 'sha512',
      osHashValue: 'h',
    };
    const active = await catalog.images.get('a');
    await catalog.images.save(active, { locations: [...locations, { store: 'u', location: 'y', form }] });
    expect(await catalog.images.usage('p')).toEqual({ images: 2, storedBytes: 120, uploading: 0, stagedBytes: 0 });
    expect((await catalog.images.get('a')).locations).toEqual([...locations, { store: 'u', location: 'y', form }]);
  });
});
