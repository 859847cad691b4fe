import type { StoreSettings } from './load.ts';
import type { OptionValues } from './options.ts';
import { OPTIONS, RESERVED_STORES, STORE_OPTIONS, STORE_TYPES } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The id of the one store that exists without `enabled_backends`. */
export const SINGLE_STORE_ID = 'file';

interface Stores {
  readonly stores: readonly StoreSettings[];
  readonly defaultStore: string;
}

/** The stores of the configuration, each with its own section, and the one used when none is named. */
export function readStores(values: OptionValues, reader: ValueReader): Stores {
  const { enabledBackends } = values;
  if (enabledBackends === undefined) return singleStore(values, reader);
  const stores = Array.from(enabledBackends, ([id, type]) => readStore(id, type, reader));
  return { stores, defaultStore: defaultStore(values, reader) };
}

function singleStore(values: OptionValues, reader: ValueReader): Stores {
  const datadir = values.singleStoreDatadir;
  if (datadir === undefined && !reader.problems.some((problem) => problem.section === 'glance_store')) {
    const { section, name: option } = OPTIONS.singleStoreDatadir;
    reader.problems.push({ section, option, message: 'is needed when enabled_backends is not set' });
  }
  return { stores: [{ id: SINGLE_STORE_ID, datadir: datadir ?? '' }], defaultStore: SINGLE_STORE_ID };
}

function readStore(id: string, type: string, reader: ValueReader): StoreSettings {
  const inBackends = { section: 'DEFAULT', option: 'enabled_backends', value: `${id}:${type}` };
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(id) || RESERVED_STORES.includes(id) || id in SECTIONS_OF_OPTIONS) {
    reader.problems.push({ ...inBackends, message: `"${id}" cannot be the id of a store` });
  }
  if (!STORE_TYPES.includes(type)) {
    reader.problems.push({ ...inBackends, message: `the type of store "${id}" is unknown`, choices: STORE_TYPES });
    return { id, datadir: '' };
  }
  const before = reader.problems.length;
  const datadir = reader.read(STORE_OPTIONS.datadir, id);
  if (datadir === undefined && reader.problems.length === before) {
    reader.problems.push({ section: id, option: STORE_OPTIONS.datadir.name, message: 'is needed for this store' });
  }
  const description = reader.read(STORE_OPTIONS.description, id);
  const conversionFormat = reader.read(STORE_OPTIONS.conversionFormat, id);
  return {
    id,
    datadir: datadir ?? '',
    ...(description === undefined ? {} : { description }),
    ...(conversionFormat === undefined ? {} : { conversionFormat }),
  };
}

const SECTIONS_OF_OPTIONS: Readonly<Record<string, true>> = Object.fromEntries(
  Object.values(OPTIONS).map((option) => [option.section, true]),
);

function defaultStore(values: OptionValues, reader: ValueReader): string {
  const ids = [...(values.enabledBackends?.keys() ?? [])];
  const only = ids.length === 1 ? ids[0] : undefined;
  const chosen = values.defaultBackend ?? only;
  if (chosen !== undefined && ids.includes(chosen)) return chosen;
  const { section, name: option } = OPTIONS.defaultBackend;
  if (ids.length === 0) {
    reader.problems.push({ section: 'DEFAULT', option: 'enabled_backends', message: 'names no store' });
  } else if (chosen === undefined) {
    reader.problems.push({ section, option, message: 'is needed when there are several stores', choices: ids });
  } else {
    reader.problems.push({ section, option, value: chosen, message: 'is no enabled store', choices: ids });
  }
  return '';
}
