/** The table "Who may import whom" of ARCHITECTURE.md as data, and the laws that hold in every file. */

/** One room: which files it holds, what it may import, and which words must not appear in it. */
export interface Room {
  readonly name: string;
  /** A file, or a folder ending in `/`; `*` stands for one folder name. The first room that matches has the file. */
  readonly path: string;
  /** Names of rooms or packages; `*` in a name stands for one folder, `everything` for all. Its own files always. */
  readonly mayImport: readonly string[];
  /** Rooms of which only types may be imported. */
  readonly mayImportTypesOf?: readonly string[];
  /** Imports that only some of the room's files may make: the name of such a file matches the pattern. */
  readonly mayImportFrom?: readonly { readonly room: string; readonly files: RegExp }[];
  /** Words and phrases, in code, strings and comments alike. `imageId`, `image_id` and `image id` are all "image id". */
  readonly mustNotSay: readonly string[];
  /** Identifiers that must not appear in code; comments and strings may. */
  readonly mustNotUse?: readonly string[];
  /** Files of the room (by the end of their path) that `mustNotSay` exempts. */
  readonly mayBeSaidIn?: readonly string[];
  /** Patterns that must not appear in string literals, and what they are. */
  readonly stringsMustNotHold?: readonly { readonly pattern: RegExp; readonly what: string }[];
}

/** Every format's name but `raw`, which is also an ordinary word. */
export const FORMAT_NAMES: readonly string[] = [
  'qcow2',
  'vmdk',
  'vhd',
  'vhdx',
  'vdi',
  'qed',
  'parallels',
  'luks',
  'qcow',
  'dmg',
  'cloop',
  'bochs',
];

/**
 * What one format's own specification says about another: qcow2 continues qcow, and a qcow2 or qcow disk may be
 * encrypted as LUKS; VHDX names its predecessor.
 */
export const FORMATS_THAT_NAME_OTHERS: Readonly<Record<string, readonly string[]>> = {
  qcow2: ['qcow', 'luks'],
  qcow: ['qcow2', 'luks'],
};

const PLATFORM: readonly string[] = ['process', 'Buffer', 'window', 'document', 'console', 'require'];
const CORE = 'packages/disk-image/src';
const SERVICE = 'packages/image-service/src';

const HEADER_NAMES = {
  pattern: /^(?:x-[a-z-]+|content-[a-z]+|authorization|accept|location)$/i,
  what: 'a header name',
};
const SQL = {
  pattern: /\b(?:select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|create\s+table)\b/i,
  what: 'SQL',
};

/** The rooms, from the bottom of the house to the top. */
export const ROOMS: readonly Room[] = [
  // The core. `errors.ts` and the entry belong to all of it.
  { name: 'errors', path: `${CORE}/errors.ts`, mayImport: [], mustNotSay: [], mustNotUse: PLATFORM },
  { name: 'entry', path: `${CORE}/index.ts`, mayImport: ['everything'], mustNotSay: [], mustNotUse: PLATFORM },
  {
    name: 'bytes',
    path: `${CORE}/bytes/`,
    mayImport: ['errors'],
    mustNotSay: ['extent', 'cluster', 'grain', ...FORMAT_NAMES],
    mustNotUse: PLATFORM,
  },
  // Containers of files (archives, compressed streams): below images, since they know none.
  {
    name: 'wrappers',
    path: `${CORE}/wrappers/`,
    mayImport: ['errors', 'bytes'],
    mustNotSay: ['extent', 'cluster', 'grain', ...FORMAT_NAMES],
    mustNotUse: PLATFORM,
  },
  {
    name: 'image',
    path: `${CORE}/image/`,
    mayImport: ['errors', 'bytes'],
    mustNotSay: ['cluster', 'grain table', ...FORMAT_NAMES],
    mayBeSaidIn: ['image/format-name.ts'],
    mustNotUse: PLATFORM,
  },
  {
    name: 'the list of formats',
    path: `${CORE}/formats/all.ts`,
    mayImport: ['errors', 'bytes', 'image', 'formats/*'],
    mustNotSay: ['http'],
    mustNotUse: PLATFORM,
  },
  // Beside these words: every other format's name (see `check-source.ts`).
  {
    name: 'formats/*',
    path: `${CORE}/formats/*/`,
    mayImport: ['errors', 'bytes', 'image'],
    mustNotSay: ['http'],
    mustNotUse: PLATFORM,
  },
  ...['inspect', 'convert'].map((name): Room => ({
    name,
    path: `${CORE}/${name}/`,
    mayImport: ['errors', 'bytes', 'image', ...(name === 'inspect' ? ['wrappers'] : [])],
    mustNotSay: ['qcow2', 'vmdk', 'vhdx', 'cluster', 'bat'],
    mustNotUse: PLATFORM,
  })),
  // Names formats by what is seen from outside; how they are built is the formats' affair.
  {
    name: 'targets',
    path: `${CORE}/targets/`,
    mayImport: ['errors', 'bytes', 'image'],
    mustNotSay: ['cluster', 'grain', 'refcount', 'bat', 'http'],
    mustNotUse: PLATFORM,
  },

  // The operating system.
  {
    name: 'disk-image-node',
    path: 'packages/disk-image-node/src/',
    mayImport: ['disk-image'],
    mustNotSay: ['http', 'image id'],
  },

  // The service. `main.ts` builds everything, `server.ts` what listens, `stores.ts` opens the stores; `index.ts` is what others may import of the package.
  { name: 'main', path: `${SERVICE}/main.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'configured', path: `${SERVICE}/configured.ts`, mayImport: ['everything'], mustNotSay: [] },
  {
    name: 'database',
    path: `${SERVICE}/database.ts`,
    mayImport: ['catalog', 'catalog database', 'config', 'flow'],
    mustNotSay: ['http'],
  },
  ...['observed', 'watch', 'health', 'end-calls'].map((name): Room => ({
    name,
    path: `${SERVICE}/${name}.ts`,
    mayImport: ['everything'],
    mustNotSay: [],
  })),
  { name: 'telemetry', path: `${SERVICE}/telemetry/`, mayImport: [], mustNotSay: ['image', 'catalog'] },
  { name: 'stores', path: `${SERVICE}/stores.ts`, mayImport: ['config', 'staging', 'store'], mustNotSay: [] },
  {
    name: 'residue',
    path: `${SERVICE}/residue.ts`,
    mayImport: ['catalog', 'flow', 'import', 'store'],
    mustNotSay: ['http'],
  },
  { name: 'engine of the service', path: `${SERVICE}/run-engine.ts`, mayImport: ['everything'], mustNotSay: ['http'] },
  { name: 'incoming data', path: `${SERVICE}/incoming-data.ts`, mayImport: ['everything'], mustNotSay: ['http'] },
  { name: 'worker', path: `${SERVICE}/worker.ts`, mayImport: ['everything'], mustNotSay: ['http'] },
  { name: 'server', path: `${SERVICE}/server.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'cached images', path: `${SERVICE}/cached-images.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'project limits', path: `${SERVICE}/project-limits.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'roads of images', path: `${SERVICE}/image-roads.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'calls for imports', path: `${SERVICE}/import-calls.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'services elsewhere', path: `${SERVICE}/remote-services.ts`, mayImport: ['everything'], mustNotSay: [] },
  {
    name: 'files of metadata definitions',
    path: `${SERVICE}/metadef-files.ts`,
    mayImport: ['everything'],
    mustNotSay: [],
  },
  { name: 'entry of the service', path: `${SERVICE}/index.ts`, mayImport: ['everything'], mustNotSay: [] },
  { name: 'files', path: `${SERVICE}/files/`, mayImport: [], mustNotSay: ['image', 'flow', 'store', 'status'] },
  { name: 'flow', path: `${SERVICE}/flow/`, mayImport: [], mustNotSay: ['image', 'format', 'store'] },
  { name: 'net', path: `${SERVICE}/net/`, mayImport: [], mustNotSay: ['image', 'flow', 'store'] },
  {
    name: 'remotes',
    path: `${SERVICE}/remotes/`,
    mayImport: ['net', 'staging'],
    mustNotSay: ['flow', 'catalog', 'cluster'],
  },
  ...['staging', 'store'].map((name): Room => ({
    name,
    path: `${SERVICE}/${name}/`,
    mayImport: ['files', 'net'],
    mayImportTypesOf: ['disk-image'],
    mustNotSay: ['status', 'flow', 'format'],
  })),
  { name: 'cache', path: `${SERVICE}/cache/`, mayImport: ['files'], mustNotSay: ['status', 'flow', 'format', 'store'] },
  {
    name: 'catalog database',
    path: `${SERVICE}/catalog/database/`,
    mayImport: ['catalog'],
    mustNotSay: ['http'],
  },
  {
    name: 'catalog',
    path: `${SERVICE}/catalog/`,
    mayImport: ['catalog database'],
    mustNotSay: ['http'],
    stringsMustNotHold: [SQL],
  },
  { name: 'auth', path: `${SERVICE}/auth/`, mayImport: [], mustNotSay: ['flow', 'format'] },
  { name: 'config', path: `${SERVICE}/config/`, mayImport: [], mustNotSay: [] },
  {
    name: 'import',
    path: `${SERVICE}/import/`,
    mayImport: ['flow', 'catalog', 'staging', 'store', 'remotes', 'disk-image', 'disk-image-node'],
    mustNotSay: ['request', 'status code'],
    stringsMustNotHold: [HEADER_NAMES],
  },
  {
    name: 'api',
    path: `${SERVICE}/api/`,
    mayImport: ['catalog', 'store', 'import', 'auth', 'telemetry'],
    mustNotSay: ['cluster', 'extent', 'execute', 'revert'],
  },

  // Programs and the page.
  {
    name: 'cli',
    path: 'packages/cli/src/',
    mayImport: ['disk-image', 'disk-image-node'],
    mayImportFrom: [
      {
        room: 'image-service',
        files: /(?:service|serve|worker|database|token|config|import|images|metadefs|tasks|resume)[^/]*\.ts$/,
      },
    ],
    mustNotSay: ['catalog', 'image id'],
  },
  { name: 'console', path: 'packages/console/src/', mayImport: [], mustNotSay: [] },
];

/** A law for the name or for each line of a file. */
export interface FileLaw {
  readonly law: string;
  /** `product`: tests are exempt. */
  readonly where: 'everywhere' | 'product';
  readonly of: 'name' | 'line';
  readonly forbidden: RegExp;
}

/** The laws that hold in every room. */
export const FILE_LAWS: readonly FileLaw[] = [
  {
    law: 'a file is named after what it holds, never utils, helpers, common or manager',
    where: 'everywhere',
    of: 'name',
    forbidden: /(?:^|\/|-)(?:utils?|helpers?|common|manager)(?:-[^/]*)?(?:\/|\.[a-z.]+$)/,
  },
  {
    law: 'no reminder is left in the code',
    where: 'everywhere',
    of: 'line',
    forbidden: /\b(?:TODO|FIXME|XXX|HACK)\b/,
  },
  {
    law: 'no path of one machine',
    where: 'product',
    of: 'line',
    forbidden: /(?:^|[\s'"`(=])(?:\/(?:home|Users|root|work)\/|[A-Z]:\\Users\\)/,
  },
];
