import type { ConvertSurroundings } from './convert.ts';
import { forecastOther } from './convert.ts';
import type { FormsState } from './forms.ts';
import { formFor } from './forms.ts';
import type { ResultBytes } from './promised-room.ts';
import { exactly, promiseRoom, roomFor } from './promised-room.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import type { ImportInput, Staged, Stored } from './state.ts';

type Promising = Required<ConvertSurroundings<ImportInput & Staged>>['promise'];

/** Promises an import the room for all forms that it will make, before it makes any. Throws `over_quota`. */
export function importRoom<T>(parts: ImportParts<T>, of: StageOf): Promising {
  return async (input, main, context) => {
    const others = new Map<string, ResultBytes>();
    for (const form of input.other_forms ?? []) {
      const result = await forecastOther(parts, of, { form, input, context });
      for (const store of form.stores) others.set(store, result);
    }
    const results = input.stores.map((store) => others.get(store) ?? main);
    await promiseRoom(parts.catalog, input.image_id, roomFor(results, input.all_stores_must_succeed));
  };
}

/** The same when everything is made, before the result goes into this store. Throws `over_quota`. */
export async function promiseStored<T>(
  { catalog }: ImportParts<T>,
  input: ImportInput & FormsState & Stored,
  storeId: string,
): Promise<void> {
  const resultIn = (store: string): ResultBytes => exactly(formFor(input, store).size);
  const now = [...input.filled_stores.map(({ store }) => store), storeId].map(resultIn);
  const later = input.stores.slice(input.stores.indexOf(storeId) + 1).map(resultIn);
  const room = input.all_stores_must_succeed ? { needed: [...now, ...later] } : { needed: now, hopedFor: later };
  await promiseRoom(catalog, input.image_id, room);
}
