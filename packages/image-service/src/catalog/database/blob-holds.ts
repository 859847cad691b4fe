import type { Kysely } from 'kysely';
import type { BlobHoldRepo } from '../repositories.ts';
import type { CatalogTables } from './tables.ts';

/** Who is reading what, in the database. */
export function blobHoldTable(db: Kysely<CatalogTables>): BlobHoldRepo {
  return {
    async keep({ id, store, location, expiresAt }) {
      await db
        .insertInto('blob_holds')
        .values({ id, store, location, expires_at: expiresAt })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ expires_at: expiresAt }))
        .execute();
    },
    async release(id) {
      await db.deleteFrom('blob_holds').where('id', '=', id).execute();
    },
    async isHeld({ store, location }, now) {
      const row = await db
        .selectFrom('blob_holds')
        .select('id')
        .where('store', '=', store)
        .where('location', '=', location)
        .where('expires_at', '>', now)
        .executeTakeFirst();
      return row !== undefined;
    },
    async forgetExpired(now) {
      await db.deleteFrom('blob_holds').where('expires_at', '<=', now).execute();
    },
  };
}
