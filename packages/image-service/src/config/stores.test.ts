import { describe, expect, test } from 'vitest';
import { loadConfiguration } from './load.ts';
import type { Configuration } from './load.ts';
import { ConfigurationError } from './problem.ts';

function load(text: string, environment: Readonly<Record<string, string>> = {}): Configuration {
  const base = `
[os_glance_tasks_store]
filesystem_store_datadir = /tasks
[os_glance_staging_store]
filesystem_store_datadir = /staging
[diskmorph]
state_database = sqlite:/state/db
`;
  return loadConfiguration({ files: [{ name: 'own.conf', text: base + text }], environment });
}

function problems(text: string): readonly unknown[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map(({ origin: _origin, ...problem }) => problem);
    throw error;
  }
  return [];
}

const S3 = `
[DEFAULT]
enabled_backends = s:s3
[s]
s3_store_host = https://s3.eu-central-1.amazonaws.com
s3_store_access_key = key
s3_store_secret_key = ab;cd#ef
s3_store_bucket = images
`;

describe('stores of files', () => {
  test('several directories with weights, in sub-directories', () => {
    const { stores } = load(`
[DEFAULT]
enabled_backends = f:filesystem
[f]
filesystem_store_datadirs = /srv/a:200
filesystem_store_datadirs = /srv/b
filesystem_store_datadirs = /srv/with:colon:-5
filesystem_store_subdirectories = true
weight = 7
`);
    const directories = [
      { path: '/srv/a', weight: 200 },
      { path: '/srv/b', weight: 0 },
      { path: '/srv/with:colon', weight: -5 },
    ];
    expect(stores).toEqual([{ id: 'f', type: 'file', weight: 7, directories, layout: 'subdirectories' }]);
  });

  test.each([
    { lines: 'filesystem_store_datadirs = a:1', message: 'must be an absolute path, or one with ":" and a weight' },
    { lines: 'filesystem_store_datadirs = /a\nfilesystem_store_datadirs = /a:5', message: 'is there twice' },
    {
      lines: 'filesystem_store_datadirs = /a\nfilesystem_store_datadir = /b',
      message: 'cannot be used together with filesystem_store_datadir',
    },
  ])('$lines', ({ lines, message }) => {
    const found = problems(`[DEFAULT]\nenabled_backends = f:file\n[f]\n${lines}\n`);
    expect(found).toEqual([expect.objectContaining({ section: 'f', option: 'filesystem_store_datadirs', message })]);
  });
});

describe('stores on S3 servers', () => {
  test('the defaults; a secret is taken as it is written', () => {
    expect(load(S3).stores).toEqual([
      {
        id: 's',
        type: 's3',
        weight: 0,
        endpoint: 'https://s3.eu-central-1.amazonaws.com/',
        region: 'eu-central-1',
        accessKey: 'key',
        secretKey: 'ab;cd#ef',
        bucket: 'images',
        createBucket: false,
        addressing: 'virtual',
        multipartFromBytes: 10 * 2 ** 20,
        partBytes: 10 * 2 ** 20,
        lanes: 10,
        connectTimeoutMs: 10_000,
        idleTimeoutMs: 60_000,
        attempts: 5,
      },
    ]);
  });

  test.each([
    { host: 'ceph.example:7480', endpoint: 'http://ceph.example:7480/', region: 'us-east-1', addressing: 'path' },
    { host: 'http://127.0.0.1:80', endpoint: 'http://127.0.0.1/', region: 'us-east-1', addressing: 'path' },
    {
      host: 'https://s3.dualstack.us-west-2.amazonaws.com',
      endpoint: 'https://s3.dualstack.us-west-2.amazonaws.com/',
      region: 'us-west-2',
      addressing: 'virtual',
    },
  ])('the server $host', ({ host, ...expected }) => {
    const text = S3.replace('https://s3.eu-central-1.amazonaws.com', host);
    expect(load(text).stores[0]).toMatchObject(expected);
  });

  test('the environment brings the secret', () => {
    const { stores } = load(S3.replace('s3_store_secret_key = ab;cd#ef', ''), { OS_S__S3_STORE_SECRET_KEY: 'x' });
    expect(stores[0]).toMatchObject({ secretKey: 'x' });
  });

  test.each([
    { from: 's3_store_bucket = images', to: '', option: 's3_store_bucket', message: 'is needed for this store' },
    { from: 's3_store_access_key = key', to: '', option: 's3_store_access_key', message: 'is needed for this store' },
    {
      from: 'bucket = images',
      to: 'bucket = a/b',
      option: 's3_store_bucket',
      message: 'cannot be the name of a bucket',
    },
    { from: 'host = https:', to: 'host = ftp:', option: 's3_store_host', message: 'is not the address of a server' },
    {
      from: '[s]',
      to: '[s]\ns3_store_large_object_chunk_size = 4',
      option: 's3_store_large_object_chunk_size',
      message: 'must be from 5 to 5120',
    },
  ])('$option: $message', ({ from, to, option, message }) => {
    expect(problems(S3.replace(from, to))).toEqual([expect.objectContaining({ section: 's', option, message })]);
  });

  test('options of another type of store are not used', () => {
    const { warnings } = load(`${S3}filesystem_store_datadir = /x\n`);
    expect(warnings).toEqual([expect.stringContaining('[s] filesystem_store_datadir is not used')]);
  });
});

test.each(['database', 'project_limits', 'glance_download', 'keystone_authtoken', 'import_filtering_opts'])(
  'a store cannot be called %s, as a section of other options is',
  (id) => {
    const found = problems(S3.replace('s:s3', `${id}:s3`).replace('[s]', `[${id}]`));
    expect(found).toContainEqual(expect.objectContaining({ message: `"${id}" cannot be the id of a store` }));
  },
);

describe('stores of web addresses', () => {
  const HTTP = `${S3.replace('s:s3', 's:s3, w:http')}[w]\nhttp_allowed_addresses = 10.0.0.0/8, fd00::1\n`;

  test('are never the default', () => {
    const { stores, defaultStore } = load(HTTP);
    expect(defaultStore).toBe('s');
    expect(stores[1]).toEqual({
      id: 'w',
      type: 'http',
      weight: 0,
      allowedAddresses: ['10.0.0.0/8', 'fd00::1'],
      idleTimeoutMs: 60_000,
    });
    expect(problems(`${HTTP}[glance_store]\ndefault_backend = w\n`)).toEqual([
      {
        section: 'glance_store',
        option: 'default_backend',
        value: 'w',
        message: 'is a store that is only read',
        choices: ['s'],
      },
    ]);
    expect(problems('[DEFAULT]\nenabled_backends = w:http\n')).toEqual([
      { section: 'DEFAULT', option: 'enabled_backends', message: 'names no store in which images can be put' },
    ]);
  });

  test.each(['10.0.0.0/33', 'example.org', '10.0.0', 'fd00::/129', '1.2.3.4/8/9'])('%s is no network', (network) => {
    expect(problems(HTTP.replace('10.0.0.0/8', network))).toEqual([
      expect.objectContaining({ section: 'w', value: network, message: 'is neither an address nor a network' }),
    ]);
  });

  test('have no target of conversions', () => {
    expect(problems(`${HTTP}output_format = raw\n`)).toEqual([
      expect.objectContaining({ section: 'w', option: 'output_format' }),
    ]);
  });
});

test('output_format of a store, also under its other name', () => {
  const text = S3.replace('s:s3', 's:s3, t:file').replace('[s]', '[s]\noutput_format = raw');
  const { stores } = load(
    `${text}[glance_store]\ndefault_backend = s\n[t]\nfilesystem_store_datadir = /t\nconversion_format = qcow2\n`,
  );
  expect(stores.map(({ outputFormat }) => outputFormat)).toEqual(['raw', 'qcow2']);
});
