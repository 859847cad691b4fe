import type { Kysely } from 'kysely';
import type { CachedImageRepo } from '../repositories.ts';
import type { RunTogether } from './images.ts';
import type { CatalogTables } from './tables.ts';

/** Which nodes have which images in their caches, in the database. */
export function cachedImageTable(db: Kysely<CatalogTables>, together: RunTogether): CachedImageRepo {
  return {
    async nodesOf(imageId) {
      const rows = await db
        .selectFrom('cached_images')
        .select('node')
        .where('image_id', '=', imageId)
        .orderBy('node')
        .execute();
      return rows.map(({ node }) => node);
    },
    async replace(node, imageIds) {
      await together(async (inside) => {
        await inside.deleteFrom('cached_images').where('node', '=', node).execute();
        const rows = imageIds.map((imageId) => ({ node, image_id: imageId }));
        for (let done = 0; done < rows.length; done += MAX_ROWS) {
          await inside
            .insertInto('cached_images')
            .values(rows.slice(done, done + MAX_ROWS))
            .execute();
        }
      });
    },
  };
}

/** Rows of one statement: databases bound the number of its values. */
const MAX_ROWS = 500;
