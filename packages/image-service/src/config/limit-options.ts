import type { AccessConfiguration } from './access.ts';
import { boolean, integer, path, repeatedList, size, text } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The most that a project may have; undefined: any number. */
export interface ProjectLimitConfiguration {
  readonly images: number | undefined;
  readonly uploading: number | undefined;
  readonly storedBytes: number | undefined;
  readonly stagedBytes: number | undefined;
}

/** What the options about limits say. */
export interface LimitConfiguration extends Pick<
  LimitOptionValues,
  'showImageDirectUrl' | 'showMultipleLocations' | 'doSecureHash' | 'imageLocationQuota'
> {
  /** Of the service in Keystone's catalogue, whose limits count instead of `projects`; undefined: those of `projects` do. */
  readonly keystoneEndpointId: string | undefined;
  /** Undefined: nothing is cached. */
  readonly cache:
    | {
        readonly directory: string;
        readonly maxBytes: number;
        readonly stallMs: number;
        /** The URL of this process; undefined: others are not told what it has. */
        readonly node: string | undefined;
      }
    | undefined;
  readonly projects: {
    readonly general: ProjectLimitConfiguration;
    readonly overrides: ReadonlyMap<string, ProjectLimitConfiguration>;
  };
}

/** The value of every option about what is shown of images and how much of everything there may be. */
export interface LimitOptionValues {
  readonly showImageDirectUrl: boolean;
  readonly showMultipleLocations: boolean;
  readonly doSecureHash: boolean;
  readonly imageLocationQuota: number;
  readonly userStorageQuota: number;
  readonly imageSizeTotal: number;
  readonly imageStageTotal: number;
  readonly imageCountTotal: number;
  readonly imageCountUploading: number;
  readonly override: readonly string[];
  readonly useKeystoneLimits: boolean;
  readonly endpointId: string | undefined;
  readonly imageCacheDir: string | undefined;
  readonly imageCacheMaxSize: number;
  readonly imageCacheStallTime: number;
  readonly workerSelfReferenceUrl: string | undefined;
  readonly imageCacheDriver: string | undefined;
  readonly imageCacheDatabase: string | undefined;
  readonly cachePrefetcherInterval: string | undefined;
}

const OWN_BOOKS = 'is accepted but has no effect: the directory of the cache is all that it keeps';

const MOST = 1_000_000_000;
const PROJECT_LIMITS = 'project_limits';

/** Those options. */
export const LIMIT_OPTIONS: Definitions<LimitOptionValues> = {
  showImageDirectUrl: {
    section: 'DEFAULT',
    name: 'show_image_direct_url',
    type: boolean,
    default: 'false',
    help: 'Show where an image lies, as direct_url, to callers whom the rule get_image_location lets see it.',
  },
  showMultipleLocations: {
    section: 'DEFAULT',
    name: 'show_multiple_locations',
    type: boolean,
    default: 'false',
    help: 'Show every place of an image, as locations, and let callers change them by PATCH. Whoever may change the places of\nan image decides what others download: keep it off where users are not trusted; POST /v2/images/ID/locations does not need it.',
  },
  doSecureHash: {
    section: 'DEFAULT',
    name: 'do_secure_hash',
    type: boolean,
    default: 'true',
    help: 'Read what POST /v2/images/ID/locations names, and keep its digests. When false, those that the caller gives are kept\nunchecked.',
  },
  imageLocationQuota: {
    section: 'DEFAULT',
    name: 'image_location_quota',
    type: integer({ min: -1, max: 1_000_000 }),
    default: '10',
    help: 'The most places of one image; -1: any number.',
  },
  userStorageQuota: {
    section: 'DEFAULT',
    name: 'user_storage_quota',
    type: size,
    default: '0',
    help: 'Bytes that the images of one project may take in all their places, such as 500GB; 0: any number. The smaller of this and\n[project_limits] image_size_total counts.',
  },
  imageSizeTotal: {
    section: PROJECT_LIMITS,
    name: 'image_size_total',
    type: integer({ min: -1, max: MOST }),
    default: '-1',
    help: 'MiB that the images of one project may take in all their places; -1: any number.',
  },
  imageStageTotal: {
    section: PROJECT_LIMITS,
    name: 'image_stage_total',
    type: integer({ min: -1, max: MOST }),
    default: '-1',
    help: 'MiB of one project that may wait for their import, downloads from the web among them; -1: any number.',
  },
  imageCountTotal: {
    section: PROJECT_LIMITS,
    name: 'image_count_total',
    type: integer({ min: -1, max: MOST }),
    default: '-1',
    help: 'The most images of one project; -1: any number.',
  },
  imageCountUploading: {
    section: PROJECT_LIMITS,
    name: 'image_count_uploading',
    type: integer({ min: -1, max: MOST }),
    default: '-1',
    help: 'The most images of one project that are being brought in at the same time; -1: any number.',
  },
  override: {
    section: PROJECT_LIMITS,
    name: 'override',
    type: repeatedList,
    default: '',
    sample: '5f3e0c image_size_total=2048 image_count_total=10',
    help: 'Limits of one project instead of those above: its id, then name=value; the key is repeated for other projects.',
  },
  useKeystoneLimits: {
    section: 'DEFAULT',
    name: 'use_keystone_limits',
    type: boolean,
    default: 'false',
    help: 'Ask Keystone for the limits of projects: image_size_total, image_stage_total, image_count_total, image_count_uploading. Those of\n[project_limits] and user_storage_quota do not count then. The user in [keystone_authtoken] needs the role reader for the whole\nsystem.',
  },
  endpointId: {
    section: 'oslo_limit',
    name: 'endpoint_id',
    type: text,
    sample: '248a2ecba9ec43fbb5e1c4bbb8cdf1ba',
    help: "An endpoint of this service in Keystone's catalogue: limits are registered for its service and region. Needed with\nuse_keystone_limits.",
  },
  imageCacheDir: {
    section: 'DEFAULT',
    name: 'image_cache_dir',
    type: path,
    sample: '/var/lib/glance/image-cache',
    help: 'Where copies of images of remote stores are kept, so that they are read from there once. Each process needs a directory of\nits own. Nothing is cached without it.',
  },
  imageCacheMaxSize: {
    section: 'DEFAULT',
    name: 'image_cache_max_size',
    type: size,
    default: '10737418240',
    help: 'Bytes that the copies may take; those that were not asked for the longest go first. Larger images are not kept.',
  },
  imageCacheStallTime: {
    section: 'DEFAULT',
    name: 'image_cache_stall_time',
    type: integer({ min: 0, max: 2_000_000_000 }),
    default: '86400',
    help: 'Seconds without a byte after which POST /v2/cache/clean removes an unfinished copy.',
  },
  workerSelfReferenceUrl: {
    section: 'DEFAULT',
    name: 'worker_self_reference_url',
    type: text,
    sample: 'http://node-1.example.org:9292',
    help: 'Where this process is reached by itself: GET /v2/cache/nodes/ID tells it for images in its cache.',
  },
  imageCacheDriver: {
    section: 'DEFAULT',
    name: 'image_cache_driver',
    type: text,
    sample: 'sqlite',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: OWN_BOOKS,
  },
  imageCacheDatabase: {
    section: 'DEFAULT',
    name: 'image_cache_sqlite_db',
    type: text,
    sample: 'cache.db',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: OWN_BOOKS,
  },
  cachePrefetcherInterval: {
    section: 'DEFAULT',
    name: 'cache_prefetcher_interval',
    type: text,
    sample: '300',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: 'is accepted but has no effect: images are brought into the cache as soon as they are queued',
  },
};

/** The options about limits, checked together. */
export function readLimits(reader: ValueReader): LimitConfiguration {
  return {
    showImageDirectUrl: reader.read(LIMIT_OPTIONS.showImageDirectUrl) ?? false,
    showMultipleLocations: reader.read(LIMIT_OPTIONS.showMultipleLocations) ?? false,
    doSecureHash: reader.read(LIMIT_OPTIONS.doSecureHash) ?? true,
    imageLocationQuota: reader.read(LIMIT_OPTIONS.imageLocationQuota) ?? 0,
    keystoneEndpointId: readKeystoneEndpoint(reader),
    cache: readCache(reader),
    projects: readProjectLimits(reader),
  };
}

function readKeystoneEndpoint(reader: ValueReader): string | undefined {
  const endpointId = reader.read(LIMIT_OPTIONS.endpointId);
  if (reader.read(LIMIT_OPTIONS.useKeystoneLimits) !== true) return undefined;
  if (endpointId !== undefined && endpointId !== '') return endpointId;
  const { section, name: option } = LIMIT_OPTIONS.endpointId;
  reader.problems.push({ section, option, message: 'is needed with use_keystone_limits' });
  return undefined;
}

/** Limits that Keystone keeps need one that is asked. */
export function requireKeystone(
  { keystoneEndpointId }: LimitConfiguration,
  { keystone }: AccessConfiguration,
  reader: ValueReader,
): void {
  if (keystoneEndpointId === undefined || keystone !== undefined) return;
  const { section, name: option } = LIMIT_OPTIONS.useKeystoneLimits;
  reader.problems.push({ section, option, value: 'true', message: 'needs [paste_deploy] flavor = keystone' });
}

function readCache(reader: ValueReader): LimitConfiguration['cache'] {
  const { imageCacheDir, imageCacheMaxSize, imageCacheStallTime, workerSelfReferenceUrl } = LIMIT_OPTIONS;
  for (const name of ['imageCacheDriver', 'imageCacheDatabase', 'cachePrefetcherInterval'] as const) {
    reader.read(LIMIT_OPTIONS[name]);
  }
  const directory = reader.read(imageCacheDir);
  const maxBytes = reader.read(imageCacheMaxSize) ?? 0;
  const stallMs = 1000 * (reader.read(imageCacheStallTime) ?? 0);
  const node = reader.read(workerSelfReferenceUrl);
  return directory === undefined ? undefined : { directory, maxBytes, stallMs, node };
}

type LimitName = 'image_size_total' | 'image_stage_total' | 'image_count_total' | 'image_count_uploading';
type Given = Readonly<Record<LimitName, number>>;

function readProjectLimits(reader: ValueReader): LimitConfiguration['projects'] {
  const general: Given = {
    image_size_total: reader.read(LIMIT_OPTIONS.imageSizeTotal) ?? -1,
    image_stage_total: reader.read(LIMIT_OPTIONS.imageStageTotal) ?? -1,
    image_count_total: reader.read(LIMIT_OPTIONS.imageCountTotal) ?? -1,
    image_count_uploading: reader.read(LIMIT_OPTIONS.imageCountUploading) ?? -1,
  };
  const userBytes = reader.read(LIMIT_OPTIONS.userStorageQuota) ?? 0;
  const overrides = new Map<string, ProjectLimitConfiguration>();
  for (const text of reader.read(LIMIT_OPTIONS.override) ?? []) {
    const [project = '', ...pairs] = text.split(/\s+/);
    const given = { ...general, ...givenLimits(pairs, text, reader) };
    overrides.set(project, limitsOf(given, userBytes));
  }
  return { general: limitsOf(general, userBytes), overrides };
}

function limitsOf(given: Given, userBytes: number): ProjectLimitConfiguration {
  const count = (name: LimitName): number | undefined => (given[name] < 0 ? undefined : given[name]);
  const bytes = (name: LimitName): number | undefined => (given[name] < 0 ? undefined : given[name] * 2 ** 20);
  const sizes = [bytes('image_size_total'), userBytes === 0 ? undefined : userBytes].filter(
    (each) => each !== undefined,
  );
  return {
    images: count('image_count_total'),
    uploading: count('image_count_uploading'),
    storedBytes: sizes.length === 0 ? undefined : Math.min(...sizes),
    stagedBytes: bytes('image_stage_total'),
  };
}

/** The limits in `name=value` pairs. */
function givenLimits(pairs: readonly string[], whole: string, reader: ValueReader): Partial<Given> {
  const names: readonly string[] = [
    LIMIT_OPTIONS.imageSizeTotal,
    LIMIT_OPTIONS.imageStageTotal,
    LIMIT_OPTIONS.imageCountTotal,
    LIMIT_OPTIONS.imageCountUploading,
  ].map(({ name }) => name);
  const wrong = pairs.find((pair) => {
    const [name = '', value = ''] = pair.split('=');
    return !names.includes(name) || !/^(?:-1|\d{1,9})$/.test(value);
  });
  if (wrong !== undefined || pairs.length === 0) {
    const { section, name: option } = LIMIT_OPTIONS.override;
    const message = `must be the id of a project and limits such as image_count_total=10 (${names.join(', ')})`;
    reader.problems.push({ section, option, value: whole, message });
    return {};
  }
  return Object.fromEntries(pairs.map((pair) => [pair.split('=')[0], Number(pair.split('=')[1])]));
}
