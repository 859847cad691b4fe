import { expect, test } from 'vitest';
import type { Configuration } from './load.ts';
import { loadConfiguration } from './load.ts';

const FILE = `
[DEFAULT]
enabled_backends = a:file
[a]
filesystem_store_datadir = /images
[os_glance_tasks_store]
filesystem_store_datadir = /work
[diskmorph]
state_database = sqlite:/state/state.db
`;

function load(text: string, environment: Readonly<Record<string, string>> = {}): Configuration {
  return loadConfiguration({ files: [{ name: 'test.conf', text: `${FILE}${text}` }], environment });
}

const SERVER = `
[os_glance_staging_store]
s3_store_host = https://s3.example.org:7480
s3_store_access_key = me
s3_store_secret_key = hush
s3_store_bucket = staging
`;

test('staged data goes to the server that its section describes, as a store does', () => {
  const { stagingServer, stores, secrets, warnings } = load(`${SERVER}s3_store_large_object_chunk_size = 20\n`);
  expect(stagingServer).toMatchObject({
    id: 'os_glance_staging_store',
    endpoint: 'https://s3.example.org:7480/',
    accessKey: 'me',
    secretKey: 'hush',
    bucket: 'staging',
    partBytes: 20 * 2 ** 20,
  });
  expect(stores.map(({ id }) => id)).toEqual(['a']);
  expect(secrets).toContain('hush');
  expect(warnings).toEqual([]);
});

test('the environment alone may describe it', () => {
  const names = ['HOST', 'ACCESS_KEY', 'SECRET_KEY', 'BUCKET'];
  const environment = Object.fromEntries(
    names.map((name) => [`OS_OS_GLANCE_STAGING_STORE__S3_STORE_${name}`, name.toLowerCase().replace('_', '-')]),
  );
  expect(load('', environment).stagingServer).toMatchObject({ endpoint: 'http://host/', bucket: 'bucket' });
});

test('in a directory it needs no server', () => {
  const directory = '[os_glance_staging_store]\nfilesystem_store_datadir = /staging\n';
  expect(load(directory).stagingServer).toBe(undefined);
});

test.each([
  { name: 'no place at all', text: '', says: 'filesystem_store_datadir: is needed with enabled_backends' },
  {
    name: 'two places',
    text: `${SERVER}filesystem_store_datadir = /staging\n`,
    says: 'filesystem_store_datadir = /staging: cannot be used together with s3_store_host',
  },
  {
    name: 'a server without keys',
    text: '[os_glance_staging_store]\ns3_store_host = s3.example.org\n',
    says: 's3_store_access_key: is needed for this store',
  },
  {
    name: 'a bucket without a server',
    text: '[os_glance_staging_store]\ns3_store_bucket = staging\n',
    says: 's3_store_host: is needed for this store',
  },
  {
    name: 'a place of another kind',
    text: '[os_glance_staging_store]\nrbd_store_pool = staging\n',
    says: 'rbd_store_pool: staged data lies in a directory or on an S3 server',
  },
])('$name is refused by name', ({ text, says }) => {
  expect(() => load(text)).toThrow(`[os_glance_staging_store] ${says}`);
});

test('what every machine reaches is not of one machine', () => {
  expect(() => load(`${SERVER}[diskmorph]\nstaging_scope = node\n`)).toThrow(
    '[diskmorph] staging_scope = node: cannot be used together with [os_glance_staging_store] s3_store_host',
  );
});
