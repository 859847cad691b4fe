import type { Expression, ExpressionBuilder, Kysely, SqlBool } from 'kysely';
import { IMPORT_TASK_PROPERTY } from '../image.ts';
import type { ProjectUse } from '../quota.ts';
import type { CatalogTables } from './tables.ts';

/** What the images of one project take, with what is promised to those that are being brought in. */
export async function imageUsage(db: Kysely<CatalogTables>, owner: string | null): Promise<ProjectUse> {
  const images = await db
    .selectFrom('images')
    .where((row) => ofOwner(row, owner))
    .where('images.status', '!=', 'deleted')
    .select((row) => row.fn.countAll<number>().as('images'))
    .executeTakeFirst();
  const filling = await db
    .selectFrom('images')
    .leftJoin('image_reservations', 'image_reservations.image_id', 'images.id')
    .where((row) => ofOwner(row, owner))
    .where((row) => isBeingFilled(row))
    .select((row) => [
      row.fn.countAll<number>().as('uploading'),
      row.fn.sum<number>('image_reservations.stored_bytes').as('stored'),
      row.fn.sum<number>('image_reservations.staged_bytes').as('staged'),
    ])
    .executeTakeFirst();
  const stored = await db
    .selectFrom('images')
    .innerJoin('image_locations', 'image_locations.image_id', 'images.id')
    .where((row) => ofOwner(row, owner))
    .where('images.status', '!=', 'deleted')
    .select((row) => row.fn.sum<number>(row.fn.coalesce('image_locations.size', 'images.size')).as('bytes'))
    .executeTakeFirst();
  return {
    images: Number(images?.images ?? 0),
    uploading: Number(filling?.uploading ?? 0),
    storedBytes: Number(stored?.bytes ?? 0) + Number(filling?.stored ?? 0),
    stagedBytes: Number(filling?.staged ?? 0),
  };
}

const BEING_FILLED = ['saving', 'uploading', 'importing'];

type Images = ExpressionBuilder<CatalogTables, 'images'>;

function ofOwner(row: Images, owner: string | null): Expression<SqlBool> {
  return owner === null ? row('images.owner', 'is', null) : row('images.owner', '=', owner);
}

/** As `isFilling` says of records. */
function isBeingFilled(row: Images): Expression<SqlBool> {
  const held = row
    .selectFrom('image_properties')
    .select('image_properties.image_id')
    .where('image_properties.name', '=', IMPORT_TASK_PROPERTY);
  return row.or([
    row('images.status', 'in', BEING_FILLED),
    row.and([row('images.status', '!=', 'deleted'), row('images.id', 'in', held)]),
  ]);
}
