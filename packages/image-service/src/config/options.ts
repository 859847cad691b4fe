import type { OptionType } from './option-types.ts';
import { boolean, choice, dictionary, formatOptions, integer, list, path, size, text } from './option-types.ts';

/** The formats that an image can be converted to. */
export const TARGET_FORMATS = ['qcow2', 'raw', 'vmdk'] as const;
/** One of `TARGET_FORMATS`. */
export type TargetFormatName = (typeof TARGET_FORMATS)[number];

/** One option of the configuration file. */
export interface OptionDefinition<T> {
  readonly section: string;
  readonly name: string;
  readonly type: OptionType<T>;
  /** As it would be written in the file; absent: the option has no default. */
  readonly default?: string;
  /** A value for the sample file where there is no default. */
  readonly sample?: string;
  readonly help: string;
  /** Former names, still read with a warning. */
  readonly deprecated?: readonly { readonly section: string; readonly name: string }[];
  /** Its value is never shown. */
  readonly secret?: true;
  /** Said when the option is set: it is accepted and has no effect. */
  readonly ignored?: string;
}

/** The value of every option; undefined where none was given and there is no default. */
export interface OptionValues {
  readonly enabledBackends: ReadonlyMap<string, string> | undefined;
  readonly imageSizeCap: number;
  readonly bindHost: string;
  readonly bindPort: number;
  readonly publicEndpoint: string | undefined;
  readonly limitParamDefault: number;
  readonly apiLimitMax: number;
  readonly imagePropertyQuota: number;
  readonly imageTagQuota: number;
  readonly imageMemberQuota: number;
  readonly enabledImportMethods: readonly string[];
  readonly uploadStallTimeout: number;
  readonly imageImportPlugins: readonly string[];
  readonly injectProperties: ReadonlyMap<string, string>;
  readonly ignoreUserRoles: readonly string[];
  readonly allowedSchemes: readonly string[];
  readonly disallowedSchemes: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly disallowedHosts: readonly string[];
  readonly allowedPorts: readonly string[];
  readonly disallowedPorts: readonly string[];
  readonly allowedAddresses: readonly string[];
  readonly taskWorkDir: string | undefined;
  readonly taskTimeToLive: number;
  readonly conversionFormat: TargetFormatName | undefined;
  readonly maxWorkers: number;
  readonly engineMode: string | undefined;
  readonly tasksStoreDatadir: string | undefined;
  readonly stagingStoreDatadir: string | undefined;
  readonly defaultBackend: string | undefined;
  readonly singleStoreDatadir: string | undefined;
  readonly diskFormats: readonly string[];
  readonly containerFormats: readonly string[];
  readonly vmdkAllowedTypes: readonly string[];
  readonly requireImageFormatMatch: boolean;
  readonly outputFormat: TargetFormatName;
  readonly stateDatabase: string;
  readonly rawOptions: Readonly<Record<string, string>>;
  readonly qcow2Options: Readonly<Record<string, string>>;
  readonly vmdkOptions: Readonly<Record<string, string>>;
  readonly maxVirtualSize: number;
  readonly freeSpaceMargin: number;
  readonly noProgressTimeout: number;
  readonly conversionThreads: number;
}

/** The definition of each option of a kind. */
export type Definitions<Values> = {
  readonly [Key in keyof Values]: OptionDefinition<Exclude<Values[Key], undefined>>;
};

const TARGET_HELP = 'The format that images are converted to before they are stored.';

/** Every option outside the sections of stores. */
export const OPTIONS: Definitions<OptionValues> = {
  enabledBackends: {
    section: 'DEFAULT',
    name: 'enabled_backends',
    type: dictionary,
    sample: 'fast:file, archive:s3',
    help: 'The stores as "id:type, ...". Each id has a section of its own. Types: file, s3, http (read only).',
  },
  imageSizeCap: {
    section: 'DEFAULT',
    name: 'image_size_cap',
    type: size,
    default: '1099511627776',
    help: 'The most bytes that an image file may have when it is brought in.',
  },
  bindHost: {
    section: 'DEFAULT',
    name: 'bind_host',
    type: text,
    default: '127.0.0.1',
    help: 'The address that "diskmorph serve" listens on. Without authentication it must be one of this machine alone,\nunless --allow-unauthenticated is given.',
  },
  bindPort: {
    section: 'DEFAULT',
    name: 'bind_port',
    type: integer({ min: 0, max: 65_535 }),
    default: '9292',
    help: 'The port that "diskmorph serve" listens on; 0 lets the system choose.',
  },
  publicEndpoint: {
    section: 'DEFAULT',
    name: 'public_endpoint',
    type: text,
    sample: 'https://images.example.org',
    help: 'The URL by which callers reach the service, when it is not the one that they name, as behind a proxy.',
  },
  limitParamDefault: {
    section: 'DEFAULT',
    name: 'limit_param_default',
    type: integer({ min: 1, max: 1000 }),
    default: '25',
    help: 'Images in one page of a list when the caller names no number.',
  },
  apiLimitMax: {
    section: 'DEFAULT',
    name: 'api_limit_max',
    type: integer({ min: 1, max: 1000 }),
    default: '1000',
    help: 'The most images in one page of a list.',
  },
  imagePropertyQuota: {
    section: 'DEFAULT',
    name: 'image_property_quota',
    type: integer({ min: -1, max: 1_000_000 }),
    default: '128',
    help: 'The most properties of one image; -1: any number.',
  },
  imageTagQuota: {
    section: 'DEFAULT',
    name: 'image_tag_quota',
    type: integer({ min: -1, max: 1_000_000 }),
    default: '128',
    help: 'The most tags of one image; -1: any number.',
  },
  imageMemberQuota: {
    section: 'DEFAULT',
    name: 'image_member_quota',
    type: integer({ min: -1, max: 1_000_000 }),
    default: '128',
    help: 'The most projects that one image is shared with; -1: any number.',
  },
  enabledImportMethods: {
    section: 'DEFAULT',
    name: 'enabled_import_methods',
    type: list,
    default: '[glance-direct,web-download,copy-image]',
    help: 'The ways in which images can be imported: glance-direct (staged first), web-download (from a URL),\ncopy-image (an active image into further stores), glance-download (from another image service).',
  },
  uploadStallTimeout: {
    section: 'diskmorph',
    name: 'upload_stall_timeout',
    type: integer({ min: 1, max: 2_000_000 }),
    default: '60',
    help: 'Seconds without a byte after which an upload is given up.',
  },
  imageImportPlugins: {
    section: 'image_import_opts',
    name: 'image_import_plugins',
    type: list,
    default: '',
    sample: '[image_conversion]',
    help: 'What happens to images imported by POST /v2/images/ID/import: inject_image_metadata,\nimage_decompression, image_conversion, in this order.',
  },
  injectProperties: {
    section: 'inject_metadata_properties',
    name: 'inject',
    type: dictionary,
    default: '',
    sample: 'managed_by:images',
    help: 'Properties that inject_image_metadata gives to every imported image.',
  },
  ignoreUserRoles: {
    section: 'inject_metadata_properties',
    name: 'ignore_user_roles',
    type: list,
    default: 'admin',
    help: 'Callers with one of these roles import without injected properties.',
  },
  allowedSchemes: {
    section: 'import_filtering_opts',
    name: 'allowed_import_schemes',
    type: list,
    default: '[http,https]',
    help: 'Schemes of the URLs that web-download may read.',
  },
  disallowedSchemes: {
    section: 'import_filtering_opts',
    name: 'disallowed_import_schemes',
    type: list,
    default: '',
    help: 'Schemes that it may not read; counts only when no allowed ones are named.',
  },
  allowedHosts: {
    section: 'import_filtering_opts',
    name: 'allowed_import_hosts',
    type: list,
    default: '',
    help: 'Hosts that web-download may read from; any public one when empty.',
  },
  disallowedHosts: {
    section: 'import_filtering_opts',
    name: 'disallowed_import_hosts',
    type: list,
    default: '',
    help: 'Hosts that it may not read from; counts only when no allowed ones are named.',
  },
  allowedPorts: {
    section: 'import_filtering_opts',
    name: 'allowed_import_ports',
    type: list,
    default: '[80,443]',
    help: 'Ports that web-download may read from.',
  },
  disallowedPorts: {
    section: 'import_filtering_opts',
    name: 'disallowed_import_ports',
    type: list,
    default: '',
    help: 'Ports that it may not read from; counts only when no allowed ones are named.',
  },
  allowedAddresses: {
    section: 'import_filtering_opts',
    name: 'allowed_import_addresses',
    type: list,
    default: '',
    help: 'Private addresses and networks that web-download may reach all the same, such as 10.1.0.0/16. Others are refused,\nalso after redirects, when the connection is made.',
  },
  taskWorkDir: {
    section: 'task',
    name: 'work_dir',
    type: path,
    sample: '/var/lib/glance/work',
    help: 'Where images lie while they are converted. Not used when enabled_backends is set: then\n[os_glance_tasks_store] filesystem_store_datadir is.',
  },
  taskTimeToLive: {
    section: 'task',
    name: 'task_time_to_live',
    type: integer({ min: 0, max: 1_000_000 }),
    default: '48',
    help: 'Hours after its end for which a task is kept.',
  },
  conversionFormat: {
    section: 'taskflow_executor',
    name: 'conversion_format',
    type: choice(TARGET_FORMATS),
    sample: 'raw',
    help: `${TARGET_HELP} There is no default, because the right one depends on
where images are stored: raw for Ceph RBD, qcow2 for files read by QEMU, vmdk for VMware. While it is unset images pass
unconverted, with a warning.`,
  },
  maxWorkers: {
    section: 'taskflow_executor',
    name: 'max_workers',
    type: integer({ min: 1, max: 1000 }),
    default: '10',
    help: 'How many tasks run at the same time.',
    deprecated: [{ section: 'task', name: 'eventlet_executor_pool_size' }],
  },
  engineMode: {
    section: 'taskflow_executor',
    name: 'engine_mode',
    type: text,
    sample: 'parallel',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored:
      'is accepted but has no effect: the stages of an import run one after the other, imports beside each other',
  },
  tasksStoreDatadir: {
    section: 'os_glance_tasks_store',
    name: 'filesystem_store_datadir',
    type: path,
    sample: '/var/lib/glance/os_glance_tasks_store',
    help: 'Where images lie while they are converted. Needed with enabled_backends.',
  },
  stagingStoreDatadir: {
    section: 'os_glance_staging_store',
    name: 'filesystem_store_datadir',
    type: path,
    sample: '/var/lib/glance/os_glance_staging_store',
    help: 'Where uploaded bytes wait for their import. Needed with enabled_backends, unless they wait on an S3 server.',
  },
  defaultBackend: {
    section: 'glance_store',
    name: 'default_backend',
    type: text,
    sample: 'fast',
    help: 'The store that is used when an import names none. Needed when there are several.',
  },
  singleStoreDatadir: {
    section: 'glance_store',
    name: 'filesystem_store_datadir',
    type: path,
    sample: '/var/lib/glance/images',
    help: 'The directory of the one store, "file", that exists when enabled_backends is not set.',
  },
  diskFormats: {
    section: 'image_format',
    name: 'disk_formats',
    type: list,
    default: 'ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop,gpt',
    help: 'The values of disk_format that an image may have.',
    deprecated: [{ section: 'DEFAULT', name: 'disk_formats' }],
  },
  containerFormats: {
    section: 'image_format',
    name: 'container_formats',
    type: list,
    default: 'ami,ari,aki,bare,ovf,ova,docker,compressed',
    help: 'The values of container_format that an image may have.',
    deprecated: [{ section: 'DEFAULT', name: 'container_formats' }],
  },
  vmdkAllowedTypes: {
    section: 'image_format',
    name: 'vmdk_allowed_types',
    type: list,
    default: 'streamOptimized,monolithicSparse',
    help: 'The VMDK create types that are accepted; an empty list accepts none.',
  },
  requireImageFormatMatch: {
    section: 'image_format',
    name: 'require_image_format_match',
    type: boolean,
    default: 'true',
    help: 'Refuse an image whose content is not of its disk_format. When false, a mismatch is only warned about,\nand only where nothing is converted: a conversion always refuses it.',
  },
  outputFormat: {
    section: 'image_conversion',
    name: 'output_format',
    type: choice(TARGET_FORMATS),
    default: 'raw',
    help: `${TARGET_HELP} For the import plugin image_conversion; tasks of type import use\n[taskflow_executor] conversion_format.`,
  },
  stateDatabase: {
    section: 'diskmorph',
    name: 'state_database',
    type: text,
    sample: 'sqlite:/var/lib/diskmorph/state.db',
    help: 'What is known of images and tasks: "sqlite:" and the absolute path of a file.',
  },
  rawOptions: {
    section: 'diskmorph',
    name: 'raw_options',
    type: formatOptions,
    default: '',
    sample: 'preallocation=off',
    help: 'How raw results are made: name=value, separated by commas or the key repeated.',
  },
  qcow2Options: {
    section: 'diskmorph',
    name: 'qcow2_options',
    type: formatOptions,
    default: '',
    sample: 'cluster_size=65536,compression_type=zstd',
    help: 'How qcow2 results are made; `diskmorph convert --help` lists the options of each format.',
  },
  vmdkOptions: {
    section: 'diskmorph',
    name: 'vmdk_options',
    type: formatOptions,
    default: '',
    sample: 'subformat=streamOptimized',
    help: 'How vmdk results are made.',
  },
  maxVirtualSize: {
    section: 'diskmorph',
    name: 'max_virtual_size',
    type: size,
    default: '2T',
    help: 'The largest disk, as its guest sees it, that is accepted. A file of some kilobytes can claim terabytes.',
  },
  freeSpaceMargin: {
    section: 'diskmorph',
    name: 'free_space_margin',
    type: size,
    default: '64M',
    help: 'Bytes that must stay free in the work directory and in stores of files: work that would need more is refused\nbefore it starts.',
  },
  noProgressTimeout: {
    section: 'diskmorph',
    name: 'no_progress_timeout',
    type: integer({ min: 1, max: 2_000_000 }),
    default: '600',
    help: 'Seconds without a byte moved after which a stage is stopped and its task fails.',
  },
  conversionThreads: {
    section: 'diskmorph',
    name: 'conversion_threads',
    type: integer({ min: 0, max: 256 }),
    default: '0',
    help: 'Threads for one conversion; 0 lets the machine decide.',
  },
};
