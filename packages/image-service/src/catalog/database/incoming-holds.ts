import type { Kysely } from 'kysely';
import type { IncomingHoldRepo } from '../repositories.ts';
import type { CatalogTables } from './tables.ts';

/** Whose data is coming in, and where it lies when it has come, in the database. */
export function incomingHoldTable(db: Kysely<CatalogTables>): IncomingHoldRepo {
  return {
    async keep({ id, imageId, node, expiresAt }) {
      await db
        .insertInto('incoming_holds')
        .values({ id, image_id: imageId, node, expires_at: expiresAt })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ expires_at: expiresAt }))
        .execute();
    },
    async renew(id, expiresAt) {
      const { numUpdatedRows } = await db
        .updateTable('incoming_holds')
        .set({ expires_at: expiresAt })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async giveUp(imageId, now) {
      await db.deleteFrom('incoming_holds').where('image_id', '=', imageId).where('expires_at', '<=', now).execute();
    },
    async release(id) {
      await db.deleteFrom('incoming_holds').where('id', '=', id).execute();
    },
    async list() {
      const rows = await db.selectFrom('incoming_holds').selectAll().orderBy('id').execute();
      return rows.map((row) => ({
        id: row.id,
        imageId: row.image_id,
        node: row.node,
        expiresAt: row.expires_at === null ? null : Number(row.expires_at),
      }));
    },
  };
}
