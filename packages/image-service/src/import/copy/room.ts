import type { ImageRecord } from '../../catalog/image.ts';
import { formAt } from '../../catalog/image.ts';
import type { Catalog } from '../../catalog/repositories.ts';
import type { StepContext } from '../../flow/step.ts';
import { forecastOther } from '../convert.ts';
import type { ResultBytes } from '../promised-room.ts';
import { exactly, promiseRoom, roomFor } from '../promised-room.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { placesOf } from '../stored-data.ts';
import { leastBytes } from '../target-choice.ts';
import type { CopyForm, CopyInput, Fetched } from './state.ts';
import { fetchedKey } from './state.ts';

/** Promises a copy that is asked for what it certainly takes. Throws `over_quota`. */
export async function promiseAsked<T>(
  { tools }: ImportParts<T>,
  catalog: Pick<Catalog, 'reservations'>,
  { image, input }: { readonly image: ImageRecord; readonly input: CopyInput },
): Promise<void> {
  const results = new Map<string, ResultBytes>();
  for (const form of input.forms) {
    const result = exactly(leastOf(tools, image, form));
    for (const store of form.stores) results.set(store, result);
  }
  await promiseResults(catalog, input, results);
}

function leastOf(tools: ImportParts['tools'], image: ImageRecord, form: CopyForm): number {
  const { conversion_format: format, conversion_options: options, from } = form;
  if (format !== null) return leastBytes(tools, { format, options }, image.virtualSize);
  const [place] = placesOf(image, from ?? undefined);
  return (place === undefined ? image.size : formAt(image, place).size) ?? 0;
}

/** Promises a copy the room for all that it will make, when what it is made of is here. Throws `over_quota`. */
export async function promiseForms<T>(
  parts: ImportParts<T>,
  of: StageOf,
  { input, context }: { readonly input: CopyInput & Fetched; readonly context: StepContext },
): Promise<void> {
  const results = new Map<string, ResultBytes>();
  for (const form of input.forms) {
    const result =
      form.conversion_format === null
        ? exactly(input.fetched[fetchedKey(form)]?.size ?? 0)
        : await forecastOther(parts, of, { form, input, context });
    for (const store of form.stores) results.set(store, result);
  }
  await promiseResults(parts.catalog, input, results);
}

async function promiseResults(
  catalog: Pick<Catalog, 'reservations'>,
  { image_id: imageId, stores, all_stores_must_succeed: all }: CopyInput,
  results: ReadonlyMap<string, ResultBytes>,
): Promise<void> {
  const ofStores = stores.map((store) => results.get(store) ?? exactly(0));
  await promiseRoom(catalog, imageId, roomFor(ofStores, all));
}
