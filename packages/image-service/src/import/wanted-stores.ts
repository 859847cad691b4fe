import { ImportError } from './errors.ts';
import type { ImportParts, ImportSettings } from './stage-context.ts';
import type { ImportInput, WantedForm } from './state.ts';

/** Which stores somebody wants filled, and with what. */
export interface StoreWish {
  /** Ids of stores; the default store when there are none. */
  readonly stores?: readonly string[];
  /** Every store in which something can be put, instead of `stores`. */
  readonly allStores?: true;
  /** For every store, instead of what the configuration says. */
  readonly conversionFormat?: string;
}

/** The stores to fill, in order. Throws `invalid_value` for one that is not there or is only read. */
export function wantedStores<T>(
  { stores, settings }: Pick<ImportParts<T>, 'stores' | 'settings'>,
  { stores: given = [], allStores }: StoreWish,
): readonly string[] {
  const writable = [...stores.values()].flatMap(({ id, readOnly }) => (readOnly ? [] : [id]));
  if (allStores === true) {
    if (given.length > 0) throw new ImportError('invalid_value', 'Name stores or ask for all of them, not both');
    return writable.toSorted();
  }
  const wanted = given.length === 0 ? [settings.defaultStore] : [...new Set(given)];
  const wrong = wanted.find((id) => !writable.includes(id));
  if (wrong === undefined) return wanted;
  const why = stores.has(wrong) ? `Store "${wrong}" can only be read` : `There is no store "${wrong}"`;
  throw new ImportError('invalid_value', `${why}; images can be put in ${writable.join(', ')}`);
}

/** What is made of an image: the main form, and those of stores that want another one. */
export type WantedForms = Pick<ImportInput, 'conversion_format' | 'conversion_options' | 'other_forms'>;

/**
 * What the stores get: what was asked for, else what each wants, else `general` (null: as the image comes). The main form,
 * which the image's record describes, is that of the default store, or of the first when the default one is not among
 * them. Throws `invalid_value`.
 */
export function wantedForms(
  settings: ImportSettings,
  stores: readonly string[],
  wish: { readonly general: string | undefined; readonly conversionFormat?: string | undefined },
): WantedForms {
  const { general, conversionFormat } = wish;
  const choices = Object.keys(settings.targetOptions);
  if (conversionFormat !== undefined && !choices.includes(conversionFormat)) {
    const message = `"${conversionFormat}" is no conversion format; choices: ${choices.join(', ')}`;
    throw new ImportError('invalid_value', message);
  }
  const formatOf = (store: string): string | null =>
    conversionFormat ?? settings.storeFormats[store] ?? general ?? null;
  const main = formatOf(stores.includes(settings.defaultStore) ? settings.defaultStore : (stores[0] ?? ''));
  const others = [...new Set(stores.map(formatOf))].filter((format) => format !== main);
  return {
    ...targetOf(settings, main),
    ...(others.length === 0
      ? {}
      : {
          other_forms: others.map((format): WantedForm =>
            Object.assign(targetOf(settings, format), {
              key: format ?? AS_IT_CAME,
              stores: stores.filter((store) => formatOf(store) === format),
            }),
          ),
        }),
  };
}

/** The key of the form that is not converted. */
const AS_IT_CAME = 'source';

function targetOf(
  { targetOptions }: ImportSettings,
  format: string | null,
): Pick<ImportInput, 'conversion_format' | 'conversion_options'> {
  return { conversion_format: format, conversion_options: format === null ? {} : (targetOptions[format] ?? {}) };
}

/** Every format that the forms are converted to. */
export function conversionsOf({ conversion_format, other_forms = [] }: WantedForms): readonly string[] {
  return [conversion_format, ...other_forms.map((form) => form.conversion_format)].filter((format) => format !== null);
}
