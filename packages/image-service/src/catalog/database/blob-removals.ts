import type { Kysely } from 'kysely';
import type { BlobRemovalRepo } from '../repositories.ts';
import type { CatalogTables } from './tables.ts';

/** What still has to be removed from stores, in the database. `now` gives milliseconds since 1970. */
export function blobRemovalTable(db: Kysely<CatalogTables>, now: () => number): BlobRemovalRepo {
  return {
    async add({ imageId, store, location }) {
      await db
        .insertInto('blob_removals')
        .values({ store, location, image_id: imageId, created_at: now() })
        .onConflict((conflict) => conflict.columns(['store', 'location']).doNothing())
        .execute();
    },
    async list({ until } = {}) {
      const all = db.selectFrom('blob_removals').selectAll();
      const wanted = until === undefined ? all : all.where('created_at', '<=', until);
      const rows = await wanted.orderBy('created_at').orderBy('location').execute();
      return rows.map(({ store, location, image_id: imageId }) => ({ imageId, store, location }));
    },
    async done({ store, location }) {
      await db.deleteFrom('blob_removals').where('store', '=', store).where('location', '=', location).execute();
    },
  };
}
