import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDirectories } from './directories.ts';
import { embeddedConfiguration, stateDirectory } from './embedded.ts';
import type { Configuration } from './load.ts';
import { loadConfiguration, readConfigurationFiles } from './load.ts';
import { OPTIONS } from './options.ts';
import { ConfigurationError } from './problem.ts';
import { sampleConfiguration } from './sample.ts';

const BASE = `
[task]
work_dir = /work
[glance_store]
filesystem_store_datadir = /images
[diskmorph]
state_database = sqlite:/state/state.db
`;

interface Given {
  readonly text: string;
  readonly base?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly overrides?: Readonly<Record<string, string>>;
}

function load(given: Given): Configuration {
  const files = [
    { name: 'base.conf', text: given.base ?? BASE },
    { name: 'own.conf', text: given.text },
  ];
  return loadConfiguration({ files, environment: given.environment ?? {}, overrides: given.overrides ?? {} });
}

function problemsOf(given: Given): readonly Readonly<Record<string, unknown>>[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map((problem) => ({ ...problem }));
    throw error;
  }
  return [];
}

describe('the value of an option', () => {
  const written = '[taskflow_executor]\nconversion_format = qcow2\n';
  const environment = { OS_TASKFLOW_EXECUTOR__CONVERSION_FORMAT: 'vmdk' };
  test.each([
    { name: 'unset', given: { text: '' }, expected: undefined },
    { name: 'from the file', given: { text: written }, expected: 'qcow2' },
    { name: 'the last assignment counts', given: { text: `${written}conversion_format = raw` }, expected: 'raw' },
    { name: 'the environment wins over the file', given: { text: written, environment }, expected: 'vmdk' },
    {
      name: 'the command line wins over the environment',
      given: { text: written, environment, overrides: { 'taskflow_executor.conversion_format': 'raw' } },
      expected: 'raw',
    },
    {
      name: 'by reference to another section',
      given: { text: '[DEFAULT]\nwanted = raw\n[taskflow_executor]\nconversion_format = $wanted' },
      expected: 'raw',
    },
    {
      name: 'by reference to an option with a default',
      given: { text: '[taskflow_executor]\nconversion_format = ${image_conversion.output_format}' },
      expected: 'raw',
    },
  ])('conversion_format: $name', ({ given, expected }) => {
    expect(load(given).conversionFormat).toBe(expected);
  });

  test.each([
    { text: '[DEFAULT]\nimage_size_cap = 5G', read: (c: Configuration) => c.imageSizeCap, expected: 5 * 2 ** 30 },
    { text: '', read: (c: Configuration) => c.imageSizeCap, expected: 2 ** 40 },
    { text: '', read: (c: Configuration) => c.taskTimeToLive, expected: 48 },
    { text: '', read: (c: Configuration) => c.maxWorkers, expected: 10 },
    { text: '[image_format]\nvmdk_allowed_types =', read: (c: Configuration) => c.vmdkAllowedTypes, expected: [] },
    {
      text: '[image_format]\ndisk_formats = [raw, qcow2]',
      read: (c: Configuration) => c.diskFormats,
      expected: ['raw', 'qcow2'],
    },
    {
      text: '[image_format]\nrequire_image_format_match = Off',
      read: (c: Configuration) => c.requireImageFormatMatch,
      expected: false,
    },
    {
      text: '[diskmorph]\nqcow2_options = cluster_size=1M\nqcow2_options = compression_type=zstd',
      read: (c: Configuration) => c.qcow2Options,
      expected: { cluster_size: '1M', compression_type: 'zstd' },
    },
    { text: '', read: (c: Configuration) => c.database, expected: { kind: 'sqlite', path: '/state/state.db' } },
    {
      text: '[inject_metadata_properties]\ninject = managed_by:images, team:"a:b"',
      read: (c: Configuration) => [...c.injectProperties],
      expected: [
        ['managed_by', 'images'],
        ['team', '"a:b"'],
      ],
    },
    {
      text: '[DEFAULT]\nroot = /srv/$$1\n[task]\nwork_dir = ${DEFAULT.root}/work',
      read: (c: Configuration) => c.workDir,
      expected: '/srv/$1/work',
    },
    {
      text: '[DEFAULT]\nenabled_backends = a:file\n[a]\nfilesystem_store_datadir = ${os_glance_tasks_store.filesystem_store_datadir}/a\n[os_glance_tasks_store]\nfilesystem_store_datadir = /t\n[os_glance_staging_store]\nfilesystem_store_datadir = /s',
      read: (c: Configuration) => c.stores,
      expected: [{ id: 'a', type: 'file', weight: 0, directories: [{ path: '/t/a', weight: 0 }], layout: 'flat' }],
    },
  ])('$text -> $expected', ({ text, read, expected }) => {
    expect(read(load({ text }))).toEqual(expected);
  });
});

describe('a wrong value stops the start and is named in full', () => {
  test('statement 5: an invalid conversion_format names section, option, value and choices', () => {
    const given = { text: '[taskflow_executor]\nconversion_format = vhd' };
    expect(problemsOf(given)).toEqual([
      {
        section: 'taskflow_executor',
        option: 'conversion_format',
        value: 'vhd',
        message: 'is not one of the choices',
        choices: ['qcow2', 'raw', 'vmdk'],
        origin: 'own.conf:2',
      },
    ]);
    expect(() => load(given)).toThrow(
      '[taskflow_executor] conversion_format = vhd: is not one of the choices; choices: qcow2, raw, vmdk (own.conf:2)',
    );
  });

  test.each([
    { text: '[taskflow_executor]\nmax_workers = many', named: ['taskflow_executor', 'max_workers', 'many'] },
    { text: '[taskflow_executor]\nmax_workers = 0', named: ['taskflow_executor', 'max_workers', '0'] },
    { text: '[task]\nwork_dir = relative', named: ['task', 'work_dir', 'relative'] },
    { text: '[DEFAULT]\nimage_size_cap = -1', named: ['DEFAULT', 'image_size_cap', '-1'] },
    {
      text: '[image_format]\nrequire_image_format_match = maybe',
      named: ['image_format', 'require_image_format_match', 'maybe'],
    },
    { text: '[diskmorph]\nstate_database = mysql://x', named: ['diskmorph', 'state_database', 'mysql://x'] },
    { text: '[diskmorph]\nraw_options = fast', named: ['diskmorph', 'raw_options', 'fast'] },
    { text: '[task]\nwork_dir = $nowhere', named: ['task', 'work_dir', '$nowhere'] },
    { text: '[DEFAULT]\nenabled_backends = a:rbd', named: ['DEFAULT', 'enabled_backends', 'a:rbd'] },
    { text: '[DEFAULT]\nenabled_backends = task:file', named: ['DEFAULT', 'enabled_backends', 'task:file'] },
  ])('$text', ({ text, named }) => {
    const found = problemsOf({ text }).map((problem) => [problem['section'], problem['option'], problem['value']]);
    expect(found).toContainEqual(named);
  });

  test('all problems are listed at once', () => {
    const text = '[taskflow_executor]\nconversion_format = a\nmax_workers = b\nnonsense';
    expect(problemsOf({ text })).toHaveLength(3);
  });
});

describe('work directory and stores', () => {
  const STORES = `
[DEFAULT]
enabled_backends = fast:file, slow:filesystem
[glance_store]
default_backend = slow
[fast]
filesystem_store_datadir = /fast
conversion_format = raw
[slow]
filesystem_store_datadir = /slow
store_description = Spinning
[os_glance_tasks_store]
filesystem_store_datadir = /tasks
[os_glance_staging_store]
filesystem_store_datadir = /staging
[diskmorph]
state_database = sqlite:/state/state.db
`;
  test('statement 6: without enabled_backends the work directory is [task] work_dir', () => {
    expect(load({ text: '' })).toMatchObject({
      workDir: '/work',
      stores: [{ id: 'file', type: 'file', directories: [{ path: '/images', weight: 0 }] }],
      defaultStore: 'file',
    });
  });

  test('statement 6: with enabled_backends it is that of the reserved store, whatever [task] work_dir says', () => {
    expect(load({ base: STORES, text: '[task]\nwork_dir = /other' })).toMatchObject({
      workDir: '/tasks',
      defaultStore: 'slow',
      stores: [
        { id: 'fast', type: 'file', directories: [{ path: '/fast', weight: 0 }], outputFormat: 'raw' },
        { id: 'slow', type: 'file', directories: [{ path: '/slow', weight: 0 }], description: 'Spinning' },
      ],
    });
  });

  test.each([
    { name: 'no work_dir', base: BASE.replace('work_dir = /work', ''), option: 'work_dir' },
    {
      name: 'no store directory',
      base: BASE.replace('filesystem_store_datadir = /images', ''),
      option: 'filesystem_store_datadir',
    },
    {
      name: 'no tasks store',
      base: STORES.replace('filesystem_store_datadir = /tasks', ''),
      option: 'filesystem_store_datadir',
    },
    {
      name: 'no staging store',
      base: STORES.replace('filesystem_store_datadir = /staging', ''),
      option: 'filesystem_store_datadir',
    },
    {
      name: 'a store without directory',
      base: STORES.replace('filesystem_store_datadir = /fast', ''),
      option: 'filesystem_store_datadir',
    },
    { name: 'no default among several', base: STORES.replace('default_backend = slow', ''), option: 'default_backend' },
    {
      name: 'an unknown default',
      base: STORES.replace('default_backend = slow', 'default_backend = gone'),
      option: 'default_backend',
    },
  ])('$name is refused', ({ base, option }) => {
    expect(problemsOf({ base, text: '' })).toMatchObject([{ option }]);
  });
});

describe('warnings do not stop the start', () => {
  test.each([
    {
      text: '[task]\neventlet_executor_pool_size = 3',
      warning: /\[task\] eventlet_executor_pool_size is deprecated, write \[taskflow_executor\] max_workers/,
    },
    { text: '[taskflow_executor]\nengine_mode = serial', warning: /engine_mode is accepted but has no effect/ },
    {
      text: '[taskflow_executor]\nconversion_fromat = raw',
      warning: /conversion_fromat is not used; did you mean "conversion_format"\?/,
    },
    {
      text: '[taskflow_executer]\nconversion_format = raw',
      warning: /section \[taskflow_executer\] is not used; did you mean "taskflow_executor"\?/,
    },
    { text: '[oslo_middleware]\na = 1\nb = 2', warning: /^section \[oslo_middleware\] is not used$/ },
  ])('$text', ({ text, warning }) => {
    const { warnings } = load({ text });
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  test('a deprecated name that is there twice is warned of once', () => {
    const text = '[task]\neventlet_executor_pool_size = 3\neventlet_executor_pool_size = 4';
    const { warnings, maxWorkers } = load({ text });
    expect({ maxWorkers, warnings: warnings.length }).toEqual({ maxWorkers: 4, warnings: 1 });
  });

  test('a deprecated name still gives its value, the new name wins', () => {
    expect(load({ text: '[task]\neventlet_executor_pool_size = 3' }).maxWorkers).toBe(3);
    expect(
      load({ text: '[task]\neventlet_executor_pool_size = 3\n[taskflow_executor]\nmax_workers = 4' }).maxWorkers,
    ).toBe(4);
  });
});

describe('the sample file', () => {
  test('names every option, commented out', () => {
    const sample = sampleConfiguration();
    for (const option of Object.values(OPTIONS)) expect(sample).toContain(`\n#${option.name} = `);
    expect(sample).not.toMatch(/^[^#[\n]/m);
  });

  test('every default written out in full gives what is the default anyway', () => {
    const lines = Object.values(OPTIONS).flatMap((option) =>
      option.default === undefined ? [] : [`[${option.section}]\n${option.name} = ${option.default}`],
    );
    expect({ ...load({ text: lines.join('\n') }), warnings: [] }).toEqual(load({ text: '' }));
  });
});

describe('the built-in configuration', () => {
  test.each([
    { name: 'given', given: '/given', environment: { DISKMORPH_STATE_DIR: '/env' }, expected: '/given' },
    { name: 'DISKMORPH_STATE_DIR', given: undefined, environment: { DISKMORPH_STATE_DIR: '/env' }, expected: '/env' },
    { name: 'XDG_STATE_HOME', given: undefined, environment: { XDG_STATE_HOME: '/xdg' }, expected: '/xdg/diskmorph' },
    {
      name: 'a relative XDG_STATE_HOME',
      given: undefined,
      environment: { XDG_STATE_HOME: 'xdg' },
      expected: /\/\.local\/state\/diskmorph$/,
    },
    { name: 'nothing', given: undefined, environment: {}, expected: /\/\.local\/state\/diskmorph$/ },
  ])('the state directory from $name', ({ given, environment, expected }) => {
    expect(stateDirectory(given, environment)).toMatch(expected);
  });

  test('is complete, converts to raw, and survives a dollar sign in the path', () => {
    const configuration = loadConfiguration({ files: [embeddedConfiguration('/state/$x')], environment: {} });
    expect(configuration).toMatchObject({
      conversionFormat: 'raw',
      workDir: '/state/$x/work',
      stores: [{ id: 'local', type: 'file', directories: [{ path: '/state/$x/store', weight: 0 }] }],
      database: { kind: 'sqlite', path: '/state/$x/state.db' },
      warnings: [],
    });
  });
});

describe('files and directories on disk', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'diskmorph-config-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  test('a directory stands for its .conf files in the order of their names', async () => {
    for (const name of ['b.conf', 'a.conf', 'c.txt']) await writeFile(join(dir, name), `x = ${name}`);
    const files = await readConfigurationFiles([dir]);
    expect(files.map((file) => file.text)).toEqual(['x = a.conf', 'x = b.conf']);
  });

  test('a missing file is named', async () => {
    await expect(readConfigurationFiles([join(dir, 'gone.conf')])).rejects.toThrow(
      /cannot read .*gone\.conf: there is no such file/,
    );
  });

  test('statement 6: a missing work directory stops the start', async () => {
    for (const name of ['store', 'staging']) await mkdir(join(dir, name));
    const configuration = loadConfiguration({ files: [embeddedConfiguration(dir)], environment: {} });
    await expect(checkDirectories(configuration)).rejects.toMatchObject({
      problems: [
        {
          section: 'os_glance_tasks_store',
          option: 'filesystem_store_datadir',
          message: 'the directory does not exist',
        },
      ],
    });
    await writeFile(join(dir, 'work'), '');
    await expect(checkDirectories(configuration)).rejects.toMatchObject({
      problems: [{ message: 'is not a directory' }],
    });
  });
});

test('the sample file in docs/ is the one made from the code', async () => {
  const path = join(import.meta.dirname, '../../../../docs/diskmorph.conf.sample');
  expect(await readFile(path, 'utf8')).toBe(sampleConfiguration());
});
