import { Kysely } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openCatalog } from '../catalog/database/catalog.ts';
import { migrateDatabase } from '../catalog/database/migrate.ts';
import { CATALOG_MIGRATIONS } from '../catalog/database/migrations.ts';
import { sqliteDialect } from '../catalog/database/sqlite.ts';
import type { CatalogTables } from '../catalog/database/tables.ts';
import type { ImageChanges, ImageForm, ImageRecord } from '../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Catalog } from '../catalog/repositories.ts';
import { changePlaces, removeFromStore } from './image-places.ts';

let db: Kysely<CatalogTables>;
let catalog: Catalog;

beforeEach(async () => {
  db = new Kysely<CatalogTables>({ dialect: sqliteDialect(':memory:') });
  await migrateDatabase(db, CATALOG_MIGRATIONS, { now: Date.now });
  catalog = await openCatalog(db, Date.now);
});
afterEach(() => db.destroy());

const A = { store: 'a', location: 'i.1' };
const B = { store: 'b', location: 'i.1' };

const OTHER_FORM: ImageForm = {
  diskFormat: 'qcow2',
  containerFormat: 'bare',
  size: 5,
  virtualSize: 5,
  checksum: 'c',
  osHashAlgo: 'sha512',
  osHashValue: 'h',
};

async function activeImage(changes: ImageChanges): Promise<ImageRecord> {
  const image = await catalog.images.insert({ id: 'i', diskFormat: 'raw', containerFormat: 'bare' });
  return catalog.images.save(image, { status: 'active', size: 9, locations: [A, B], ...changes });
}

test('an image is taken out of a store; what lay there is written down to be removed', async () => {
  await activeImage({});
  expect((await removeFromStore({ catalog }, 'i', 'a')).locations).toEqual([B]);
  expect(await catalog.blobRemovals.list()).toEqual([{ imageId: 'i', ...A }]);
});

test.each([
  { what: 'a store that does not have it', changes: {}, store: 'z', code: 'not_found' },
  { what: 'the last store', changes: { locations: [A] }, store: 'a', code: 'last_location' },
  {
    what: 'the last store that has it as its record says',
    changes: { locations: [A, { ...B, form: OTHER_FORM }] },
    store: 'a',
    code: 'last_location',
  },
  {
    what: 'a store while a task is at work on it',
    changes: { properties: { [IMPORT_TASK_PROPERTY]: 't' } },
    store: 'a',
    code: 'conflict',
  },
])('it is not taken out of $what', async ({ changes, store, code }) => {
  const image = await activeImage(changes);
  await expect(removeFromStore({ catalog }, 'i', store)).rejects.toMatchObject({ code });
  expect([await catalog.images.get('i'), await catalog.blobRemovals.list()]).toEqual([image, []]);
});

test('of two who each take it out of another store at the same time one is refused', async () => {
  await activeImage({});
  const both = ['a', 'b'].map((store) => removeFromStore({ catalog }, 'i', store));
  const outcomes = (await Promise.allSettled(both)).map(({ status }) => status).toSorted();
  expect(outcomes).toEqual(['fulfilled', 'rejected']);
  expect((await catalog.images.get('i')).locations).toHaveLength(1);
});

test('a place whose data is being removed cannot be named again', async () => {
  await activeImage({});
  await removeFromStore({ catalog }, 'i', 'a');
  const again = changePlaces({ catalog }, 'i', ({ locations }) => ({ locations: [...locations, A] }));
  await expect(again).rejects.toMatchObject({
    code: 'conflict',
    message: 'What lies at that location is being removed',
  });
  expect((await catalog.images.get('i')).locations).toEqual([B]);
});
