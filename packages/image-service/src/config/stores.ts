import { ALL_OPTIONS } from './all-options.ts';
import { isNetwork } from './network.ts';
import type { OptionDefinition, OptionValues } from './options.ts';
import { OPTIONS } from './options.ts';
import {
  COMMON_STORE_OPTIONS,
  FILE_STORE_OPTIONS,
  HTTP_STORE_OPTIONS,
  RESERVED_STORES,
  S3_STORE_OPTIONS,
  STORE_TYPES,
} from './store-options.ts';
import type { FileStoreSettings, HttpStoreSettings, S3StoreSettings, StoreSettings } from './store-settings.ts';
import type { ValueReader } from './value-source.ts';

/** The id of the one store that exists without `enabled_backends`. */
export const SINGLE_STORE_ID = 'file';

const MEBIBYTE = 2 ** 20;

interface Stores {
  readonly stores: readonly StoreSettings[];
  readonly defaultStore: string;
}

/** The stores of the configuration, each with its own section, and the one used when none is named. */
export function readStores(values: OptionValues, reader: ValueReader): Stores {
  const { enabledBackends } = values;
  if (enabledBackends === undefined) return singleStore(values, reader);
  const stores = Array.from(enabledBackends, ([id, type]) => readStore(id, type, reader));
  return { stores, defaultStore: defaultStore(values, stores, reader) };
}

function singleStore(values: OptionValues, reader: ValueReader): Stores {
  const datadir = values.singleStoreDatadir;
  if (datadir === undefined && !reader.problems.some((problem) => problem.section === 'glance_store')) {
    const { section, name: option } = OPTIONS.singleStoreDatadir;
    reader.problems.push({ section, option, message: 'is needed when enabled_backends is not set' });
  }
  const directories = [{ path: datadir ?? '', weight: 0 }];
  const store = { id: SINGLE_STORE_ID, type: 'file', weight: 0, directories, layout: 'flat' } as const;
  return { stores: [store], defaultStore: SINGLE_STORE_ID };
}

function readStore(id: string, typeName: string, reader: ValueReader): StoreSettings {
  const inBackends = { section: 'DEFAULT', option: 'enabled_backends', value: `${id}:${typeName}` };
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(id) || RESERVED_STORES.includes(id) || id in SECTIONS_OF_OPTIONS) {
    reader.problems.push({ ...inBackends, message: `"${id}" cannot be the id of a store` });
  }
  const type = STORE_TYPES[typeName];
  if (type === undefined) {
    const choices = Object.keys(STORE_TYPES);
    reader.problems.push({ ...inBackends, message: `the type of store "${id}" is unknown`, choices });
  }
  const section = sectionReader(id, reader);
  const common = readCommon(section);
  if (type === 's3') return readS3Store(section, common);
  if (type === 'http') return readHttpStore(section, common);
  if (type === 'file') return readFileStore(section, common);
  return { ...common, type: 'file', directories: [], layout: 'flat' };
}

interface SectionReader {
  readonly id: string;
  optional<T>(option: OptionDefinition<T>): T | undefined;
  /** What stands in for a value that is missing or wrong is never used: the problem ends the load. */
  needed<T>(option: OptionDefinition<T>, standIn: T): T;
  problem(option: OptionDefinition<unknown>, message: string, value?: string): void;
}

function sectionReader(id: string, reader: ValueReader): SectionReader {
  const problem: SectionReader['problem'] = (option, message, value) => {
    const given = value === undefined ? {} : { value };
    reader.problems.push({ section: id, option: option.name, message, ...given });
  };
  return {
    id,
    problem,
    optional: (option) => reader.read(option, id),
    needed: (option, standIn) => {
      const before = reader.problems.length;
      const value = reader.read(option, id);
      if (value !== undefined && value !== '') return value;
      if (reader.problems.length === before) problem(option, 'is needed for this store');
      return standIn;
    },
  };
}

type Common = Pick<StoreSettings, 'id' | 'description' | 'weight' | 'outputFormat'>;

function readCommon(section: SectionReader): Common {
  const description = section.optional(COMMON_STORE_OPTIONS.description);
  const otherName = section.optional(COMMON_STORE_OPTIONS.conversionFormat);
  const outputFormat = section.optional(COMMON_STORE_OPTIONS.outputFormat) ?? otherName;
  return {
    id: section.id,
    weight: section.needed(COMMON_STORE_OPTIONS.weight, 0),
    ...(description === undefined ? {} : { description }),
    ...(outputFormat === undefined ? {} : { outputFormat }),
  };
}

function readFileStore(section: SectionReader, common: Common): FileStoreSettings {
  const { datadir, datadirs, subdirectories } = FILE_STORE_OPTIONS;
  const several = section.optional(datadirs) ?? [];
  const one = several.length === 0 ? section.needed(datadir, '') : section.optional(datadir);
  if (several.length > 0 && one !== undefined)
    section.problem(datadirs, `cannot be used together with ${datadir.name}`);
  const directories = several.length === 0 ? [{ path: one ?? '', weight: 0 }] : several.map(weightedDirectory);
  const wrong = several.find((each) => !each.startsWith('/'));
  if (wrong !== undefined) section.problem(datadirs, 'must be an absolute path, or one with ":" and a weight', wrong);
  const twice = directories.find(({ path }, index) => directories.findIndex((each) => each.path === path) !== index);
  if (twice !== undefined) section.problem(datadirs, 'is there twice', twice.path);
  const layout = section.needed(subdirectories, false) ? 'subdirectories' : 'flat';
  return { ...common, type: 'file', directories, layout };
}

/** `/srv/disk:200`: a path and its weight, which is 0 when it is not there. */
function weightedDirectory(text: string): { readonly path: string; readonly weight: number } {
  const [, path = text, weight = '0'] = /^(.*):(-?\d{1,9})$/.exec(text) ?? [];
  return { path, weight: Number(weight) };
}

/** An S3 server that is no store of images, in a section of its own. */
export function readS3Server(section: string, reader: ValueReader): S3StoreSettings {
  return readS3Store(sectionReader(section, reader), { id: section, weight: 0 });
}

function readS3Store(section: SectionReader, common: Common): S3StoreSettings {
  const options = S3_STORE_OPTIONS;
  const endpoint = readEndpoint(section);
  const bucket = section.needed(options.bucket, '');
  if (bucket !== '' && !/^[A-Za-z0-9][\w.-]{1,62}$/.test(bucket)) {
    section.problem(options.bucket, 'cannot be the name of a bucket', bucket);
  }
  const cacert = section.optional(options.cacert);
  const region = section.optional(options.region) ?? '';
  return {
    ...common,
    type: 's3',
    endpoint: endpoint.href,
    region: region === '' ? regionOf(endpoint.hostname) : region,
    accessKey: section.needed(options.accessKey, ''),
    secretKey: section.needed(options.secretKey, ''),
    bucket,
    createBucket: section.needed(options.createBucket, false),
    addressing: addressing(section.needed(options.urlFormat, 'auto'), endpoint.hostname),
    multipartFromBytes: section.needed(options.largeObjectSize, 1) * MEBIBYTE,
    partBytes: section.needed(options.chunkSize, 5) * MEBIBYTE,
    lanes: section.needed(options.threads, 1),
    ...(cacert === undefined ? {} : { cacert }),
    connectTimeoutMs: section.needed(options.connectTimeout, 1) * 1000,
    idleTimeoutMs: section.needed(options.idleTimeout, 1) * 1000,
    attempts: section.needed(options.maxAttempts, 1),
  };
}

function readEndpoint(section: SectionReader): URL {
  const host = section.needed(S3_STORE_OPTIONS.host, 'http://localhost');
  const url = URL.parse(host.includes('://') ? host : `http://${host}`);
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '';
  if (usable) return url;
  section.problem(S3_STORE_OPTIONS.host, 'is not the address of a server', host);
  return new URL('http://localhost');
}

const AMAZON = /^(?:[a-z0-9.-]+\.)?s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?$/;

function regionOf(host: string): string {
  return AMAZON.exec(host)?.[1] ?? 'us-east-1';
}

function addressing(wanted: 'auto' | 'path' | 'virtual', host: string): 'path' | 'virtual' {
  if (wanted !== 'auto') return wanted;
  return /\.amazonaws\.com(?:\.cn)?$/.test(host) ? 'virtual' : 'path';
}

function readHttpStore(section: SectionReader, common: Common): HttpStoreSettings {
  const { caCertificates, allowedHosts, httpTimeout } = HTTP_STORE_OPTIONS;
  const cacert = section.optional(caCertificates);
  const allowedAddresses = section.optional(allowedHosts) ?? [];
  const wrong = allowedAddresses.find((each) => !isNetwork(each));
  if (wrong !== undefined) section.problem(allowedHosts, 'is neither an address nor a network', wrong);
  if (common.outputFormat !== undefined) {
    section.problem(COMMON_STORE_OPTIONS.outputFormat, 'has no meaning here: nothing is ever stored in this store');
  }
  return {
    ...common,
    type: 'http',
    allowedAddresses,
    idleTimeoutMs: section.needed(httpTimeout, 1) * 1000,
    ...(cacert === undefined ? {} : { cacert }),
  };
}

const SECTIONS_OF_OPTIONS: Readonly<Record<string, true>> = Object.fromEntries(
  ALL_OPTIONS.map((option) => [option.section, true]),
);

function defaultStore(values: OptionValues, stores: readonly StoreSettings[], reader: ValueReader): string {
  const ids = stores.filter(({ type }) => type !== 'http').map(({ id }) => id);
  const only = ids.length === 1 ? ids[0] : undefined;
  const chosen = values.defaultBackend ?? only;
  if (chosen !== undefined && ids.includes(chosen)) return chosen;
  const { section, name: option } = OPTIONS.defaultBackend;
  if (ids.length === 0) {
    const message = stores.length === 0 ? 'names no store' : 'names no store in which images can be put';
    reader.problems.push({ section: 'DEFAULT', option: 'enabled_backends', message });
  } else if (chosen === undefined) {
    reader.problems.push({ section, option, message: 'is needed when there are several stores', choices: ids });
  } else {
    const readOnly = stores.some(({ id }) => id === chosen);
    const message = readOnly ? 'is a store that is only read' : 'is no enabled store';
    reader.problems.push({ section, option, value: chosen, message, choices: ids });
  }
  return '';
}
