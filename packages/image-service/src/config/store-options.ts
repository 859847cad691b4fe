import { boolean, choice, integer, list, path, repeatedList, text } from './option-types.ts';
import type { Definitions, OptionDefinition, TargetFormatName } from './options.ts';
import { TARGET_FORMATS } from './options.ts';

/** Options of every store. */
export interface CommonStoreValues {
  readonly description: string | undefined;
  readonly weight: number;
  readonly outputFormat: TargetFormatName | undefined;
  readonly conversionFormat: TargetFormatName | undefined;
}

/** Options of stores of files. */
export interface FileStoreValues {
  readonly datadir: string | undefined;
  readonly datadirs: readonly string[];
  readonly subdirectories: boolean;
}

/** Options of stores on S3 servers. */
export interface S3StoreValues {
  readonly host: string | undefined;
  readonly region: string;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly bucket: string | undefined;
  readonly createBucket: boolean;
  readonly urlFormat: 'auto' | 'path' | 'virtual';
  readonly largeObjectSize: number;
  readonly chunkSize: number;
  readonly threads: number;
  readonly cacert: string | undefined;
  readonly connectTimeout: number;
  readonly idleTimeout: number;
  readonly maxAttempts: number;
}

/** Options of read-only stores of web addresses. */
export interface HttpStoreValues {
  readonly caCertificates: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly httpTimeout: number;
}

const SECTION = '<store id>';

/** Every option of every store. */
export const COMMON_STORE_OPTIONS: Definitions<CommonStoreValues> = {
  description: {
    section: SECTION,
    name: 'store_description',
    type: text,
    sample: 'Local disks',
    help: 'What people see beside the id.',
  },
  weight: {
    section: SECTION,
    name: 'weight',
    type: integer({ min: -1_000_000, max: 1_000_000 }),
    default: '0',
    help: 'An image that lies in several stores is read from the one with the highest weight.',
  },
  outputFormat: {
    section: SECTION,
    name: 'output_format',
    type: choice(TARGET_FORMATS),
    sample: 'raw',
    help: 'The format that images for this store are converted to, instead of what is configured for all.',
  },
  conversionFormat: {
    section: SECTION,
    name: 'conversion_format',
    type: choice(TARGET_FORMATS),
    sample: 'raw',
    help: 'Another name of output_format.',
  },
};

/** The options of stores of the type `file`. */
export const FILE_STORE_OPTIONS: Definitions<FileStoreValues> = {
  datadir: {
    section: SECTION,
    name: 'filesystem_store_datadir',
    type: path,
    sample: '/var/lib/glance/images',
    help: 'Type file: the directory of the store.',
  },
  datadirs: {
    section: SECTION,
    name: 'filesystem_store_datadirs',
    type: repeatedList,
    default: '',
    sample: '/srv/disk1:200',
    help: `Type file: several directories instead, the key repeated, each with a weight if wanted. The one with the
highest weight that has room is filled first; of those with the same weight the one with the most room.`,
  },
  subdirectories: {
    section: SECTION,
    name: 'filesystem_store_subdirectories',
    type: boolean,
    default: 'false',
    help: "Type file: new files go into sub-directories named after the first two characters of their image's id.",
  },
};

/** The options of stores of the type `s3`. */
export const S3_STORE_OPTIONS: Definitions<S3StoreValues> = {
  host: {
    section: SECTION,
    name: 's3_store_host',
    type: text,
    sample: 'https://s3.eu-central-1.amazonaws.com',
    help: 'Type s3: the server, with http:// or https:// and its port where needed; http:// when neither is there.',
  },
  region: {
    section: SECTION,
    name: 's3_store_region_name',
    type: text,
    default: '',
    help: "Type s3: the server's region. When empty, that of the host's name if it is one of Amazon's, else us-east-1.",
  },
  accessKey: {
    section: SECTION,
    name: 's3_store_access_key',
    type: text,
    secret: true,
    help: 'Type s3: the access key.',
  },
  secretKey: {
    section: SECTION,
    name: 's3_store_secret_key',
    type: text,
    secret: true,
    help: 'Type s3: the secret key.',
  },
  bucket: {
    section: SECTION,
    name: 's3_store_bucket',
    type: text,
    sample: 'images',
    help: 'Type s3: the bucket. Each installation has a folder of its own in it.',
  },
  createBucket: {
    section: SECTION,
    name: 's3_store_create_bucket_on_put',
    type: boolean,
    default: 'false',
    help: 'Type s3: make the bucket when it is missing.',
  },
  urlFormat: {
    section: SECTION,
    name: 's3_store_bucket_url_format',
    type: choice(['auto', 'path', 'virtual']),
    default: 'auto',
    help: "Type s3: the bucket in the path or in the host's name. auto: in the name for Amazon's servers, else in the path.",
  },
  largeObjectSize: {
    section: SECTION,
    name: 's3_store_large_object_size',
    type: integer({ min: 1, max: 5120 }),
    default: '10',
    help: `Type s3: images from this size on are sent in parts. In MiB. What is smaller is held in memory while it is
sent, and sent again from its beginning after a crash.`,
  },
  chunkSize: {
    section: SECTION,
    name: 's3_store_large_object_chunk_size',
    type: integer({ min: 5, max: 5120 }),
    default: '10',
    help: 'Type s3: the size of a part in MiB; larger for images that would have more than 10000 parts.',
  },
  threads: {
    section: SECTION,
    name: 's3_store_thread_pools',
    type: integer({ min: 1, max: 1000 }),
    default: '10',
    help: 'Type s3: how many parts are sent at the same time, as long as they take no more than 64 MiB of memory.',
  },
  cacert: {
    section: SECTION,
    name: 's3_store_cacert',
    type: path,
    sample: '/etc/ssl/certs/own-authority.pem',
    help: "Type s3: a file with the certificates of the authorities that are trusted, instead of the system's.",
  },
  connectTimeout: {
    section: SECTION,
    name: 's3_store_connect_timeout',
    type: integer({ min: 1, max: 3600 }),
    default: '10',
    help: 'Type s3: seconds for a connection to be made.',
  },
  idleTimeout: {
    section: SECTION,
    name: 's3_store_idle_timeout',
    type: integer({ min: 1, max: 3600 }),
    default: '60',
    help: 'Type s3: seconds after which a connection on which nothing moves is given up.',
  },
  maxAttempts: {
    section: SECTION,
    name: 's3_store_max_attempts',
    type: integer({ min: 1, max: 100 }),
    default: '5',
    help: 'Type s3: how often a call is made in all before the store counts as unavailable.',
  },
};

/** The options of stores of the type `http`. */
export const HTTP_STORE_OPTIONS: Definitions<HttpStoreValues> = {
  caCertificates: {
    section: SECTION,
    name: 'https_ca_certificates_file',
    type: path,
    sample: '/etc/ssl/certs/own-authority.pem',
    help: "Type http: a file with the certificates of the authorities that are trusted, instead of the system's.",
  },
  allowedHosts: {
    section: SECTION,
    name: 'http_allowed_addresses',
    type: list,
    default: '',
    sample: '10.20.0.0/16, 192.168.7.5',
    help: `Type http: addresses and networks that may be read from although they are private. Addresses of this machine,
of private networks and of the local link are refused otherwise, whatever name leads to them.`,
  },
  httpTimeout: {
    section: SECTION,
    name: 'http_timeout',
    type: integer({ min: 1, max: 3600 }),
    default: '60',
    help: 'Type http: seconds after which a connection on which nothing moves is given up.',
  },
};

/** The options in the section of a store of each type; `filesystem` and `https` are other names of `file` and `http`. */
export const STORE_OPTIONS_OF: Readonly<Record<string, Definitions<Record<string, unknown>>>> = {
  file: { ...COMMON_STORE_OPTIONS, ...FILE_STORE_OPTIONS },
  s3: { ...COMMON_STORE_OPTIONS, ...S3_STORE_OPTIONS },
  http: { ...COMMON_STORE_OPTIONS, ...HTTP_STORE_OPTIONS },
};

/** What is no store of images, though it is configured as one: where staged data waits for its import. */
export const STAGING_STORE = 'os_glance_staging_store';

/** The options of a server that staged data goes to. */
export const STAGING_SERVER_OPTIONS: readonly OptionDefinition<unknown>[] =
  Object.values(S3_STORE_OPTIONS).map(ofStaging);

function ofStaging(option: OptionDefinition<unknown>): OptionDefinition<unknown> {
  return { ...option, section: STAGING_STORE, help: option.help.replace('Type s3: ', 'Staging on S3: ') };
}

/** Ids that the service keeps for itself. */
export const RESERVED_STORES: readonly string[] = ['os_glance_tasks_store', STAGING_STORE];

/** Types of stores that `enabled_backends` may name, and what they are called here. */
export const STORE_TYPES: Readonly<Record<string, 'file' | 's3' | 'http'>> = {
  file: 'file',
  filesystem: 'file',
  s3: 's3',
  http: 'http',
  https: 'http',
};
