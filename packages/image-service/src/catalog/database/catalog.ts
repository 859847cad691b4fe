import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Catalog, CatalogInTransaction } from '../repositories.ts';
import { blobHoldTable } from './blob-holds.ts';
import { blobRemovalTable } from './blob-removals.ts';
import { incomingHoldTable } from './incoming-holds.ts';
import { cachedImageTable } from './cached-images.ts';
import { imageTable } from './images.ts';
import { memberTable } from './members.ts';
import { metadefTables } from './metadefs/metadefs.ts';
import type { MetadefTables } from './metadefs/tables.ts';
import type { CatalogTables } from './tables.ts';
import { reservationTable } from './reservations.ts';
import { taskTable } from './tasks.ts';

const INSTANCE_ID = 'instance_id';

/** The catalogue in a migrated database. `now` gives milliseconds since 1970. */
export async function openCatalog<Tables extends CatalogTables>(
  database: Kysely<Tables>,
  now: () => number,
): Promise<Catalog<Transaction<Tables>>> {
  // The catalogue uses its own tables alone, whatever others live in the same database.
  const db = database as unknown as Kysely<CatalogTables>;
  return {
    instanceId: await readInstanceId(db),
    images: imageTable(db, (work) => db.transaction().execute(work), now),
    members: memberTable(db, (work) => db.transaction().execute(work), now),
    metadefs: metadefTables(db as unknown as Kysely<MetadefTables>, now),
    tasks: taskTable(db, now),
    blobRemovals: blobRemovalTable(db, now),
    blobHolds: blobHoldTable(db),
    incomingHolds: incomingHoldTable(db),
    reservations: reservationTable(db),
    cachedImages: cachedImageTable(db, (work) => db.transaction().execute(work)),
    transaction: (work) => database.transaction().execute((transaction) => work(inside(transaction, now))),
  };
}

function inside<Tables extends CatalogTables>(
  transaction: Transaction<Tables>,
  now: () => number,
): CatalogInTransaction<Transaction<Tables>> {
  const db = transaction as unknown as Kysely<CatalogTables>;
  return {
    images: imageTable(db, (work) => work(db), now),
    members: memberTable(db, (work) => work(db), now),
    tasks: taskTable(db, now),
    blobRemovals: blobRemovalTable(db, now),
    reservations: reservationTable(db),
    transaction,
  };
}

async function readInstanceId(db: Kysely<CatalogTables>): Promise<string> {
  await db
    .insertInto('catalog_facts')
    .values({ name: INSTANCE_ID, value: randomUUID() })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const row = await db
    .selectFrom('catalog_facts')
    .select('value')
    .where('name', '=', INSTANCE_ID)
    .executeTakeFirstOrThrow();
  return row.value;
}
