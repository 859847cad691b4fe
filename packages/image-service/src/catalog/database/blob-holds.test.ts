import { Kysely } from 'kysely';
import { expect, test } from 'vitest';
import { blobHoldTable } from './blob-holds.ts';
import { blobRemovalTable } from './blob-removals.ts';
import { migrateDatabase } from './migrate.ts';
import { CATALOG_MIGRATIONS } from './migrations.ts';
import { sqliteDialect } from './sqlite.ts';
import type { CatalogTables } from './tables.ts';

async function emptyDatabase(): Promise<Kysely<CatalogTables>> {
  const db = new Kysely<CatalogTables>({ dialect: sqliteDialect(':memory:') });
  await migrateDatabase(db, CATALOG_MIGRATIONS, { now: () => 0 });
  return db;
}

const place = { store: 'a', location: 'x.1' };

test('a place is held as long as any hold there lasts', async () => {
  const holds = blobHoldTable(await emptyDatabase());
  await holds.keep({ id: '1', ...place, expiresAt: 10 });
  await holds.keep({ id: '2', ...place, expiresAt: 20 });
  expect(await holds.isHeld(place, 9)).toBe(true);
  expect(await holds.isHeld({ ...place, store: 'b' }, 9)).toBe(false);
  expect(await holds.isHeld(place, 10)).toBe(true);
  expect(await holds.isHeld(place, 20)).toBe(false);
  await holds.keep({ id: '1', ...place, expiresAt: 30 });
  expect(await holds.isHeld(place, 20)).toBe(true);
  await holds.release('1');
  await holds.release('1');
  expect(await holds.isHeld(place, 19)).toBe(true);
  await holds.forgetExpired(20);
  expect(await holds.isHeld(place, 1)).toBe(false);
});

test('what was given up later is left out when asked for', async () => {
  let now = 5;
  const removals = blobRemovalTable(await emptyDatabase(), () => now);
  await removals.add({ imageId: 'i', ...place });
  now = 7;
  await removals.add({ imageId: 'i', ...place, store: 'b' });
  expect(await removals.list({ until: 4 })).toEqual([]);
  expect(await removals.list({ until: 6 })).toEqual([{ imageId: 'i', ...place }]);
  expect(await removals.list()).toHaveLength(2);
});
