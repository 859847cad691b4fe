import type { Kysely, Selectable } from 'kysely';
import { CatalogError } from '../errors.ts';
import type { MemberRecord } from '../member.ts';
import { MEMBER_STATUSES } from '../member.ts';
import type { MemberRepo } from '../repositories.ts';
import type { RunTogether } from './images.ts';
import type { CatalogTables, ImageMemberRow } from './tables.ts';

/** The members of images in the database. `now` gives milliseconds since 1970. */
export function memberTable(db: Kysely<CatalogTables>, together: RunTogether, now: () => number): MemberRepo {
  const get: MemberRepo['get'] = async (imageId, member) => {
    const row = await db
      .selectFrom('image_members')
      .selectAll()
      .where('image_id', '=', imageId)
      .where('member', '=', member)
      .executeTakeFirst();
    if (row === undefined) throw notShared(imageId, member);
    return recordOf(row);
  };
  return {
    get,
    async list(imageId) {
      const rows = await db
        .selectFrom('image_members')
        .selectAll()
        .where('image_id', '=', imageId)
        .orderBy('created_at')
        .orderBy('member')
        .execute();
      return rows.map(recordOf);
    },
    async insert(imageId, member, most) {
      const at = now();
      const row = { image_id: imageId, member, status: 'pending', created_at: at, updated_at: at };
      return together(async (inside) => {
        if (most >= 0) await refuseOverQuota(inside, imageId, most);
        const result = await inside
          .insertInto('image_members')
          .values(row)
          .onConflict((conflict) => conflict.columns(['image_id', 'member']).doNothing())
          .executeTakeFirst();
        if (result.numInsertedOrUpdatedRows === 1n) return recordOf(row);
        throw new CatalogError('conflict', `Image ${imageId} is shared with ${member} already`);
      });
    },
    async setStatus(imageId, member, status) {
      await db
        .updateTable('image_members')
        .set({ status, updated_at: now() })
        .where('image_id', '=', imageId)
        .where('member', '=', member)
        .execute();
      return get(imageId, member);
    },
    async remove(imageId, member) {
      const result = await db
        .deleteFrom('image_members')
        .where('image_id', '=', imageId)
        .where('member', '=', member)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) throw notShared(imageId, member);
    },
  };
}

async function refuseOverQuota(db: Kysely<CatalogTables>, imageId: string, most: number): Promise<void> {
  // Whoever writes the image's row counts alone until the transaction ends.
  await db
    .updateTable('images')
    .set((row) => ({ revision: row.ref('revision') }))
    .where('id', '=', imageId)
    .execute();
  const counted = await db
    .selectFrom('image_members')
    .where('image_id', '=', imageId)
    .select((row) => row.fn.countAll<number>().as('members'))
    .executeTakeFirst();
  const attempted = Number(counted?.members ?? 0) + 1;
  if (attempted <= most) return;
  throw new CatalogError(
    'over_quota',
    `The limit has been exceeded on the number of allowed image members. Attempted: ${attempted}, Maximum: ${most}`,
  );
}

function notShared(imageId: string, member: string): CatalogError {
  return new CatalogError('not_found', `Image ${imageId} is not shared with ${member}`);
}

function recordOf(row: Selectable<ImageMemberRow>): MemberRecord {
  return {
    imageId: row.image_id,
    member: row.member,
    status: MEMBER_STATUSES.find((status) => status === row.status) ?? 'pending',
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
