import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Transaction } from 'kysely';
import { Kysely, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Catalog } from '../repositories.ts';
import { changeImage } from '../repositories.ts';
import { openCatalog } from './catalog.ts';
import { migrateDatabase } from './migrate.ts';
import { CATALOG_MIGRATIONS } from './migrations.ts';
import { lockPostgresTables } from './postgres.ts';
import { sqliteDialect } from './sqlite.ts';
import type { CatalogTables } from './tables.ts';
import type { TestDatabase } from '../../../test/databases.ts';
import { DATABASE_KINDS, makeDatabase } from '../../../test/databases.ts';

let clock = 1000;
const now = (): number => (clock += 1);

test('a full disk is the error that is told, though SQLite has rolled back by itself', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'diskmorph-catalog-'));
  const db = new Kysely<CatalogTables>({ dialect: sqliteDialect(join(dir, 'full.db')) });
  await sql`create table filler (bytes blob)`.execute(db);
  await sql`pragma max_page_count = 10`.execute(db);
  const filling = db.transaction().execute(async (transaction) => {
    for (let row = 0; row < 100; row++) await sql`insert into filler values (zeroblob(4000))`.execute(transaction);
  });
  await expect(filling).rejects.toThrow('database or disk is full');
  await db.destroy();
  await rm(dir, { recursive: true });
});

describe.each(DATABASE_KINDS)('on %s', (kind) => {
  let database: TestDatabase;
  const closing: (() => Promise<void>)[] = [];

  function connect(): Kysely<CatalogTables> {
    const db = new Kysely<CatalogTables>({ dialect: database.dialect() });
    closing.unshift(() => db.destroy());
    return db;
  }

  async function openDatabase(): Promise<Catalog<Transaction<CatalogTables>>> {
    const db = connect();
    await migrateDatabase(db, CATALOG_MIGRATIONS, { now });
    return openCatalog(db, now);
  }

  beforeEach(async () => {
    database = await makeDatabase(kind, (work) => closing.push(work));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  test('an image comes back as it was saved, also after opening again', async () => {
    const { images } = await openDatabase();
    const first = await images.insert({
      id: 'i1',
      name: 'disk',
      diskFormat: 'qcow2',
      properties: { os: 'x' },
      protected: true,
    });
    const saved = await images.save(first, {
      status: 'importing',
      size: 2 ** 52,
      properties: { a: '1', b: '' },
      locations: [
        { store: 'x', location: 'i1.1' },
        { store: 'y', location: 'i1.1' },
      ],
    });
    expect(saved.revision).toBe(2);
    expect(await images.get('i1')).toEqual(saved);
    const again = await openDatabase();
    expect(await again.images.get('i1')).toEqual(saved);
  });

  test('the catalogue keeps its instance id', async () => {
    const first = await openDatabase();
    expect((await openDatabase()).instanceId).toBe(first.instanceId);
  });

  test('a save on a stale record is a conflict and changes nothing', async () => {
    const { images, tasks } = await openDatabase();
    const image = await images.insert({ id: 'i1', properties: { a: '1' } });
    const current = await images.save(image, { name: 'new' });
    await expect(images.save(image, { name: 'other', properties: {} })).rejects.toMatchObject({ code: 'conflict' });
    expect(await images.get('i1')).toEqual(current);
    const task = await tasks.insert({ id: 't1', type: 'import', input: {} });
    await tasks.save(task, { status: 'processing' });
    await expect(tasks.save(task, { status: 'failure' })).rejects.toMatchObject({ code: 'conflict' });
  });

  test('changeImage keeps what somebody else changes in between', async () => {
    const { images } = await openDatabase();
    await images.insert({ id: 'i1', properties: { mine: '0' } });
    let disturbed = false;
    const changed = await changeImage(
      {
        ...images,
        async save(image, changes) {
          if (!disturbed) {
            disturbed = true;
            await images.save(await images.get('i1'), { name: 'theirs', properties: { mine: '0', theirs: '1' } });
          }
          return images.save(image, changes);
        },
      },
      'i1',
      (image) => ({ properties: { ...image.properties, mine: '1' } }),
    );
    expect(changed).toMatchObject({ name: 'theirs', properties: { mine: '1', theirs: '1' }, revision: 3 });
  });

  test.each(['image', 'task'])('an unknown %s is not found', async (kind) => {
    const { images, tasks } = await openDatabase();
    await expect(kind === 'image' ? images.get('x') : tasks.get('x')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a transaction that fails leaves nothing', async () => {
    const catalog = await openDatabase();
    const failing = catalog.transaction(async ({ images, tasks }) => {
      const image = await images.insert({ id: 'i1', properties: { a: '1' } });
      await images.save(image, { properties: { a: '2' } });
      await tasks.insert({ id: 't1', type: 'import', input: {} });
      throw new Error('stop');
    });
    await expect(failing).rejects.toThrow('stop');
    expect(await catalog.images.list({})).toEqual([]);
    expect(await catalog.tasks.list({})).toEqual([]);
  });

  describe('lists', () => {
    test('are newest first, filtered, and continue after a record', async () => {
      const { images } = await openDatabase();
      for (const id of ['i1', 'i2', 'i3', 'i4']) await images.insert({ id, name: id === 'i2' ? 'two' : 'other' });
      await images.save(await images.get('i3'), { status: 'deleted' });
      const idsOf = async (query: Parameters<typeof images.list>[0]): Promise<readonly string[]> =>
        (await images.list(query)).map((image) => image.id);
      expect(await idsOf({})).toEqual(['i4', 'i2', 'i1']);
      expect(await idsOf({ deleted: 'include' })).toEqual(['i4', 'i3', 'i2', 'i1']);
      expect(await idsOf({ status: 'deleted' })).toEqual(['i3']);
      expect(await idsOf({ name: 'two' })).toEqual(['i2']);
      expect(await idsOf({ limit: 1 })).toEqual(['i4']);
      expect(await idsOf({ afterId: 'i4', limit: 1 })).toEqual(['i2']);
    });

    test('of tasks can be those of one image', async () => {
      const { tasks } = await openDatabase();
      for (const [id, imageId] of [
        ['t1', 'i1'],
        ['t2', 'i2'],
        ['t3', 'i1'],
      ] as const) {
        await tasks.insert({ id, type: 'import', input: { n: [1, null] }, imageId });
      }
      expect((await tasks.list({ imageId: 'i1' })).map((task) => task.id)).toEqual(['t3', 't1']);
      expect((await tasks.list({ status: 'success' })).length).toBe(0);
      expect((await tasks.get('t2')).input).toEqual({ n: [1, null] });
    });
  });

  test('expired tasks are forgotten, others stay', async () => {
    const { tasks } = await openDatabase();
    for (const id of ['t1', 't2', 't3']) await tasks.insert({ id, type: 'import', input: {} });
    await tasks.save(await tasks.get('t1'), { status: 'failure', expiresAt: 5 });
    await tasks.save(await tasks.get('t2'), { status: 'failure', expiresAt: 50 });
    expect(await tasks.removeExpired(10)).toEqual(['t1']);
    expect((await tasks.list({})).map((task) => task.id)).toEqual(['t3', 't2']);
  });

  describe('migrations', () => {
    test('each runs once, and a failing one leaves the tables as before', async () => {
      const db = connect();
      await migrateDatabase(db, CATALOG_MIGRATIONS, { now });
      const broken = {
        ...CATALOG_MIGRATIONS,
        '0003-broken': async (tables: Kysely<unknown>): Promise<void> => {
          await tables.schema.createTable('half_made').addColumn('id', 'integer').execute();
          throw new Error('stop');
        },
      };
      await expect(migrateDatabase(db, broken, { now })).rejects.toThrow('stop');
      expect((await db.introspection.getTables()).map((table) => table.name)).not.toContain('half_made');
      await migrateDatabase(db, CATALOG_MIGRATIONS, { now });
    });

    const newer = { ...CATALOG_MIGRATIONS, '9999-later': async () => {} };

    test('what a newer program has only added is no harm: an older one goes on', async () => {
      const db = connect();
      await migrateDatabase(db, newer, { now });
      expect(await migrateDatabase(db, CATALOG_MIGRATIONS, { now })).toMatchObject({
        missing: [],
        newer: ['9999-later'],
      });
      await (await openCatalog(db, now)).images.insert({ id: 'i1' });
    });

    test('a database that a newer program has changed under an older one is refused by name', async () => {
      const db = connect();
      await migrateDatabase(db, newer, { now, breaking: new Set(['9999-later']) });
      await expect(migrateDatabase(db, CATALOG_MIGRATIONS, { now })).rejects.toThrow(/newer version .*9999-later/);
    });
  });

  test('what is noted about a location comes back; what is to be removed stays until it is done', async () => {
    const { images, blobRemovals } = await openDatabase();
    const image = await images.insert({ id: 'noted' });
    const place = { store: 'x', location: 'i.1', metadata: { path: '/mnt', nested: [1] } };
    await images.save(image, { locations: [place, { store: 'y', location: 'i.1' }] });
    expect((await images.get('noted')).locations).toEqual([place, { store: 'y', location: 'i.1' }]);
    const blob = { imageId: 'noted', store: 'x', location: 'i.1' };
    await blobRemovals.add(blob);
    await blobRemovals.add(blob);
    expect(await blobRemovals.list()).toEqual([blob]);
    await blobRemovals.done(blob);
    await blobRemovals.done(blob);
    expect(await blobRemovals.list()).toEqual([]);
  });
});

// A second connection to SQLite would wait for the first on the thread that the first needs.
test('several processes at once on PostgreSQL: each change is made once', async () => {
  const database = await makeDatabase('postgres', () => {});
  const connections = Array.from({ length: 3 }, () => new Kysely<CatalogTables>({ dialect: database.dialect() }));
  const states = await Promise.all(
    connections.map((db) => migrateDatabase(db, CATALOG_MIGRATIONS, { now, lock: lockPostgresTables })),
  );
  expect(states.filter((state) => state.missing.length > 0)).toHaveLength(1);
  await Promise.all(connections.map((db) => db.destroy()));
});
