import { dictionary, integer, list, path, size } from './option-types.ts';
import type { Definitions, OptionValues } from './options.ts';
import { OPTIONS } from './options.ts';
import { isNetwork } from './network.ts';
import type { ValueReader } from './value-source.ts';

/** Options of imports beside those that Glance's own files usually have. */
export interface ImportOptionValues {
  readonly maxRatio: number;
  readonly maxSize: number | undefined;
  readonly extraProperties: readonly string[];
  readonly endpoints: ReadonlyMap<string, string>;
  readonly tokens: ReadonlyMap<string, string>;
  readonly allowedAddresses: readonly string[];
  readonly caCertificates: string | undefined;
}

/** What the configuration says of imports, checked. */
export interface ImportConfiguration {
  /** Undefined: nothing is taken out of containers. */
  readonly decompression: { readonly maxRatio: number; readonly maxBytes: number } | undefined;
  /** Other image services. */
  readonly remotes: {
    /** URLs of image services by region, where the identity service is not asked. */
    readonly endpoints: ReadonlyMap<string, string>;
    /** What they are asked with, by region. */
    readonly tokens: ReadonlyMap<string, string>;
    /** Private addresses and networks that services of the catalogue may have. */
    readonly allowedAddresses: readonly string[];
    readonly caCertificates: string | undefined;
    /** Beginnings of names of properties that are taken over. */
    readonly properties: readonly string[];
  };
}

/** The ways to import that the configuration may enable. */
const IMPORT_METHODS = ['glance-direct', 'web-download', 'copy-image', 'glance-download'] as const;
/** The plugins that the configuration may enable. `no_op` does nothing. */
const IMPORT_PLUGINS = ['inject_image_metadata', 'image_decompression', 'image_conversion', 'no_op'] as const;

/** Every option of this kind. */
export const IMPORT_OPTIONS: Definitions<ImportOptionValues> = {
  maxRatio: {
    section: 'image_decompression',
    name: 'max_ratio',
    type: integer({ min: 1, max: 1_000_000 }),
    default: '1100',
    help: 'The plugin image_decompression: bytes that may come out for each that goes in, after the first 256 MiB.',
  },
  maxSize: {
    section: 'image_decompression',
    name: 'max_size',
    type: size,
    sample: '1T',
    help: 'The plugin image_decompression: the most bytes that may come out; image_size_cap when it is not set.',
  },
  extraProperties: {
    section: 'glance_download_properties',
    name: 'extra_properties',
    type: list,
    default: 'hw_,trait:,os_distro,os_secure_boot,os_type',
    help: 'The import method glance-download takes over properties whose names begin so.',
  },
  endpoints: {
    section: 'glance_download',
    name: 'endpoints',
    type: dictionary,
    default: '',
    sample: 'RegionTwo:https://images.two.example.org',
    help: "glance-download: URLs of image services by region. The others are those of the identity service's catalogue.",
  },
  tokens: {
    section: 'glance_download',
    name: 'tokens',
    type: dictionary,
    default: '',
    secret: true,
    help: "glance-download: the tokens that the services of [glance_download] endpoints are asked with, by region. Without one the\ncaller's is sent where Keystone knows it, else none.",
  },
  allowedAddresses: {
    section: 'glance_download',
    name: 'allowed_addresses',
    type: list,
    default: '',
    sample: '10.20.0.0/16, 192.168.7.5',
    help: 'glance-download: private addresses and networks that image services of the catalogue may have. Those of\n[glance_download] endpoints may have any. Nothing that they redirect to elsewhere is followed.',
  },
  caCertificates: {
    section: 'glance_download',
    name: 'ca_certificates_file',
    type: path,
    sample: '/etc/ssl/certs/own-authority.pem',
    help: "glance-download: a file with the certificates of the authorities that are trusted, instead of the system's.",
  },
};

/** The options about imports, checked together. */
export function readImports(reader: ValueReader, values: OptionValues): ImportConfiguration {
  const plugins = values.imageImportPlugins;
  refuseUnknown(reader, { definition: OPTIONS.imageImportPlugins, given: plugins, known: IMPORT_PLUGINS });
  refuseUnknown(reader, {
    definition: OPTIONS.enabledImportMethods,
    given: values.enabledImportMethods,
    known: IMPORT_METHODS,
  });
  return {
    decompression: readDecompression(reader, values),
    remotes: {
      endpoints: readEndpoints(reader),
      tokens: reader.read(IMPORT_OPTIONS.tokens) ?? new Map(),
      allowedAddresses: readAddresses(reader),
      caCertificates: reader.read(IMPORT_OPTIONS.caCertificates),
      properties: reader.read(IMPORT_OPTIONS.extraProperties) ?? [],
    },
  };
}

interface KnownNames {
  readonly definition: { readonly section: string; readonly name: string };
  readonly given: readonly string[];
  readonly known: readonly string[];
}

function refuseUnknown(reader: ValueReader, { definition, given, known }: KnownNames): void {
  const wrong = given.filter((name) => !known.includes(name));
  if (wrong.length === 0) return;
  const { section, name: option } = definition;
  reader.problems.push({ section, option, value: wrong.join(','), message: 'is not known', choices: known });
}

/** The order of the plugins is that of the work: what is converted first is no longer in a container. */
function readDecompression(reader: ValueReader, values: OptionValues): ImportConfiguration['decompression'] {
  const maxRatio = reader.read(IMPORT_OPTIONS.maxRatio) ?? 1;
  const maxBytes = reader.read(IMPORT_OPTIONS.maxSize) ?? values.imageSizeCap;
  const plugins = values.imageImportPlugins;
  const [decompression, conversion] = [plugins.indexOf('image_decompression'), plugins.indexOf('image_conversion')];
  if (decompression === -1) return undefined;
  if (conversion === -1 || decompression < conversion) return { maxRatio, maxBytes };
  const { section, name } = OPTIONS.imageImportPlugins;
  reader.warnings.push(
    `[${section}] ${name}: image_decompression stands after image_conversion, so that packed images are refused before they are unpacked`,
  );
  return undefined;
}

function readEndpoints(reader: ValueReader): ReadonlyMap<string, string> {
  const endpoints = reader.read(IMPORT_OPTIONS.endpoints) ?? new Map<string, string>();
  for (const [region, given] of endpoints) {
    const url = URL.parse(given);
    const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
    if (isWeb && url.username === '' && url.password === '' && url.search === '' && url.hash === '') continue;
    const { section, name: option } = IMPORT_OPTIONS.endpoints;
    const message = `region ${region} has no address such as https://images.example.org`;
    reader.problems.push({ section, option, value: given, message });
  }
  return endpoints;
}

function readAddresses(reader: ValueReader): readonly string[] {
  const given = reader.read(IMPORT_OPTIONS.allowedAddresses) ?? [];
  const wrong = given.find((each) => !isNetwork(each));
  if (wrong !== undefined) {
    const { section, name: option } = IMPORT_OPTIONS.allowedAddresses;
    reader.problems.push({
      section,
      option,
      value: wrong,
      message: 'is neither an address nor a network such as 10.0.0.0/8',
    });
  }
  return given;
}
