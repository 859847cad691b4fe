import type { Kysely } from 'kysely';
import type { ReservationRepo } from '../repositories.ts';
import type { CatalogTables } from './tables.ts';

/** What is promised to images that are being brought in, in the database. */
export function reservationTable(db: Kysely<CatalogTables>): ReservationRepo {
  return {
    // Nobody counts here: a catalogue without limits promises anything.
    promise: async () => Number.POSITIVE_INFINITY,
    async hold(project) {
      // A row that is written is the transaction's own until it ends.
      await db
        .insertInto('project_counts')
        .values({ project: project ?? '', counted: 1 })
        .onConflict((conflict) =>
          conflict.column('project').doUpdateSet((row) => ({ counted: row('project_counts.counted', '+', 1) })),
        )
        .execute();
    },
    async of(imageId) {
      const row = await db
        .selectFrom('image_reservations')
        .selectAll()
        .where('image_id', '=', imageId)
        .executeTakeFirst();
      return { storedBytes: Number(row?.stored_bytes ?? 0), stagedBytes: Number(row?.staged_bytes ?? 0) };
    },
    async set(imageId, { storedBytes, stagedBytes }) {
      const bytes = { stored_bytes: storedBytes, staged_bytes: stagedBytes };
      await db
        .insertInto('image_reservations')
        .values({ image_id: imageId, ...bytes })
        .onConflict((conflict) => conflict.column('image_id').doUpdateSet(bytes))
        .execute();
    },
    async clear(imageId) {
      await db.deleteFrom('image_reservations').where('image_id', '=', imageId).execute();
    },
  };
}
