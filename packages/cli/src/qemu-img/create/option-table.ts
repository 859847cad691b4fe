/** The type of a create option, as `-o help` shows it. */
export type OptionType = 'str' | 'size' | 'bool (on/off)' | 'num';

/** One create option of a format. */
export interface CreateOption {
  readonly name: string;
  readonly type: OptionType;
  readonly help: string;
  /** Shown in "Formatting ..." when it is not given. */
  readonly shownDefault?: string;
}

const SIZE: CreateOption = { name: 'size', type: 'size', help: 'Size of the virtual disk' };
const BACKING: readonly CreateOption[] = [
  { name: 'backing_file', type: 'str', help: 'Name of the backing image' },
  { name: 'backing_fmt', type: 'str', help: 'Format of the backing image' },
];

/** Options of the file that holds an image, whatever its format. */
export const FILE_OPTIONS: readonly CreateOption[] = [
  { name: 'extent_size_hint', type: 'size', help: 'Accepted; the file system decides' },
  { name: 'nocow', type: 'bool (on/off)', help: 'Accepted; nothing is changed' },
  { name: 'preallocation', type: 'str', help: 'Space taken at once (off, falloc, full)' },
];

function encryption(prefix: string): CreateOption[] {
  const names = [
    'cipher-alg',
    'cipher-mode',
    'format',
    'hash-alg',
    'iter-time',
    'ivgen-alg',
    'ivgen-hash-alg',
    'key-secret',
  ];
  return names.map((name) => ({
    name: `${prefix}${name}`,
    type: name === 'iter-time' ? 'num' : 'str',
    help: 'Encryption; refused',
  }));
}

/** The create options of each format in the order in which "Formatting ..." shows them, by qemu-img's name. */
export const createOptions: Readonly<Record<string, readonly CreateOption[]>> = {
  raw: [SIZE],
  qcow2: [
    { name: 'encryption', type: 'bool (on/off)', help: 'Encryption; refused' },
    ...encryption('encrypt.'),
    { name: 'cluster_size', type: 'size', help: 'Bytes allocated together', shownDefault: '65536' },
    { name: 'extended_l2', type: 'bool (on/off)', help: 'Subclusters', shownDefault: 'off' },
    { name: 'preallocation', type: 'str', help: 'Space taken at once (off, metadata, falloc, full)' },
    {
      name: 'compression_type',
      type: 'str',
      help: 'Method for compressed clusters (zlib, zstd)',
      shownDefault: 'zlib',
    },
    SIZE,
    { name: 'compat', type: 'str', help: 'Version of the format (v2 [0.10] or v3 [1.1])' },
    ...BACKING,
    { name: 'data_file', type: 'str', help: 'Name of a file beside the image that holds the data' },
    { name: 'data_file_raw', type: 'bool (on/off)', help: 'The data file is a raw image' },
    { name: 'lazy_refcounts', type: 'bool (on/off)', help: 'Postpone refcount updates', shownDefault: 'off' },
    { name: 'refcount_bits', type: 'num', help: 'Width of a refcount', shownDefault: '16' },
  ],
  vmdk: [
    SIZE,
    { name: 'adapter_type', type: 'str', help: 'Virtual adapter (ide, lsilogic, buslogic, legacyESX)' },
    ...BACKING,
    { name: 'compat6', type: 'bool (on/off)', help: 'Hardware version 6', shownDefault: 'off' },
    { name: 'hwversion', type: 'str', help: 'Hardware version', shownDefault: 'undefined' },
    { name: 'toolsversion', type: 'str', help: 'Version of the guest tools' },
    {
      name: 'subformat',
      type: 'str',
      help: 'One of monolithicSparse, monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, streamOptimized',
    },
    { name: 'zeroed_grain', type: 'bool (on/off)', help: 'Allow grains that are marked as zeros' },
  ],
  vpc: [
    SIZE,
    { name: 'subformat', type: 'str', help: 'dynamic (default) or fixed' },
    { name: 'force_size', type: 'bool (on/off)', help: 'Keep the size as given instead of rounding it to cylinders' },
  ],
  vhdx: [
    SIZE,
    { name: 'log_size', type: 'size', help: 'Size of the log, at least 1M', shownDefault: '1048576' },
    { name: 'block_size', type: 'size', help: 'Bytes allocated together, 1M to 256M; 0 chooses', shownDefault: '0' },
    { name: 'subformat', type: 'str', help: 'dynamic (default) or fixed' },
    { name: 'block_state_zero', type: 'bool (on/off)', help: 'Mark empty blocks as zeros' },
  ],
  vdi: [SIZE, { name: 'static', type: 'bool (on/off)', help: 'Take all space at once', shownDefault: 'off' }],
  qed: [
    SIZE,
    ...BACKING,
    { name: 'cluster_size', type: 'size', help: 'Bytes allocated together', shownDefault: '65536' },
    { name: 'table_size', type: 'size', help: 'Size of a table in clusters' },
  ],
  qcow: [SIZE, ...BACKING, { name: 'encryption', type: 'bool (on/off)', help: 'Encryption; refused' }],
  parallels: [SIZE, { name: 'cluster_size', type: 'size', help: 'Bytes allocated together', shownDefault: '1048576' }],
  luks: [SIZE, ...encryption('').filter(({ name }) => name !== 'format')],
};

/** The options of `driver` together with those of its file. */
export function allOptions(driver: string): readonly CreateOption[] {
  const own = createOptions[driver] ?? [];
  return [...own, ...FILE_OPTIONS.filter(({ name }) => !own.some((option) => option.name === name))];
}

/** The list that `-o help` prints; with a target, the options of its file are among them. */
export function optionHelp(driver: string, scope: 'format' | 'target'): string {
  const listed = scope === 'target' ? allOptions(driver) : (createOptions[driver] ?? []);
  const lines = [...listed]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, type, help }) => `  ${`${name}=<${type}>`.padEnd(22)} - ${help}\n`);
  if (scope === 'target') return `Supported options:\n${lines.join('')}`;
  return `Supported ${driver} options:\n${lines.join('')}\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n`;
}
