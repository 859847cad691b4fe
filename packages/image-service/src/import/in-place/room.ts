import type { ImageRecord } from '../../catalog/image.ts';
import { bytesInStores } from '../../catalog/quota.ts';
import type { Catalog } from '../../catalog/repositories.ts';
import type { ResultBytes } from '../promised-room.ts';
import { promiseRoom } from '../promised-room.ts';
import type { ImportParts } from '../stage-context.ts';
import type { Staged } from '../state.ts';
import type { ConversionInput } from './state.ts';

/** Promises the room for the result, before it is made. Throws `over_quota`. */
export function conversionRoom<T>({
  catalog,
}: ImportParts<T>): (input: ConversionInput & Staged, result: ResultBytes) => Promise<void> {
  return async ({ image_id: imageId, stores }, result) =>
    promiseReplaced(catalog, await catalog.images.get(imageId), { stores, result });
}

/** The same for an image whose every place is replaced by one in each of these stores. */
export async function promiseReplaced(
  catalog: Pick<Catalog, 'reservations'>,
  image: ImageRecord,
  { stores, result }: { readonly stores: readonly string[]; readonly result: ResultBytes },
): Promise<void> {
  await promiseRoom(catalog, image.id, { needed: stores.map(() => result), givenUp: bytesInStores(image) });
}
