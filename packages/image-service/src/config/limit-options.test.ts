import { describe, expect, test } from 'vitest';
import { embeddedConfiguration } from './embedded.ts';
import type { LimitConfiguration } from './limit-options.ts';
import { loadConfiguration } from './load.ts';
import { ConfigurationError } from './problem.ts';

function limitsOf(text: string): LimitConfiguration {
  const files = [embeddedConfiguration('/state'), { name: 'limits.conf', text }];
  return loadConfiguration({ files, environment: {} }).limits;
}

function problemOf(text: string): string {
  try {
    limitsOf(text);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  return 'it was accepted';
}

const GIB = 2 ** 30;
const KEYSTONE = `
[paste_deploy]
flavor = keystone
[keystone_authtoken]
auth_url = http://keystone:5000
username = glance
password = secret
user_domain_name = Default
project_name = service
project_domain_id = default
`;

describe('limits of projects', () => {
  test('there are none by default', () => {
    const { general, overrides } = limitsOf('').projects;
    expect([Object.values(general), overrides.size]).toEqual([[undefined, undefined, undefined, undefined], 0]);
  });

  test.each([
    { text: 'user_storage_quota = 0', bytes: undefined },
    { text: 'user_storage_quota = 1000B', bytes: 1000 },
    { text: 'user_storage_quota = 500GB', bytes: 500 * GIB },
    { text: 'user_storage_quota = 2TB\n[project_limits]\nimage_size_total = 1024', bytes: GIB },
    { text: 'user_storage_quota = 1GB\n[project_limits]\nimage_size_total = 4096', bytes: GIB },
    { text: '[project_limits]\nimage_size_total = 0', bytes: 0 },
  ])('$text', ({ text, bytes }) => {
    expect(limitsOf(`[DEFAULT]\n${text}`).projects.general.storedBytes).toBe(bytes);
  });

  test('one project may have others; what is not named stays', () => {
    const { general, overrides } = limitsOf(`
[project_limits]
image_count_total = 5
image_count_uploading = 2
override = big image_count_total=-1 image_size_total=2048
override = small image_count_total=1
`).projects;
    expect(general).toMatchObject({ images: 5, uploading: 2, storedBytes: undefined });
    expect(overrides.get('big')).toMatchObject({ images: undefined, uploading: 2, storedBytes: 2 * GIB });
    expect(overrides.get('small')).toMatchObject({ images: 1, uploading: 2 });
  });

  test.each(['big', 'big images=3', 'big image_count_total=many', 'big image_count_total=-2'])(
    'override = %s stops the start',
    (override) => {
      expect(problemOf(`[project_limits]\noverride = ${override}`)).toContain('must be the id of a project and limits');
    },
  );

  test('those of Keystone need an endpoint', () => {
    const text = '[DEFAULT]\nuse_keystone_limits = true\n';
    expect(problemOf(text)).toContain('[oslo_limit] endpoint_id: is needed with use_keystone_limits');
    expect(problemOf(`${text}[oslo_limit]\nendpoint_id = e1`)).toContain('needs [paste_deploy] flavor = keystone');
    expect(limitsOf(`${text}[oslo_limit]\nendpoint_id = e1${KEYSTONE}`).keystoneEndpointId).toBe('e1');
    expect(limitsOf('[oslo_limit]\nendpoint_id = e1').keystoneEndpointId).toBeUndefined();
  });
});

describe('the image cache', () => {
  test('is off without a directory', () => {
    expect(limitsOf('[DEFAULT]\nimage_cache_max_size = 1G').cache).toBeUndefined();
  });

  test('has the bounds of Glance', () => {
    const cache = { directory: '/cache', maxBytes: 10 * GIB, stallMs: 86_400_000, node: undefined };
    expect(limitsOf('[DEFAULT]\nimage_cache_dir = /cache').cache).toEqual(cache);
  });

  test('needs no books of its own', () => {
    const files = [{ name: 'a', text: '[DEFAULT]\nimage_cache_driver = sqlite\nimage_cache_sqlite_db = cache.db' }];
    const { warnings } = loadConfiguration({ files: [embeddedConfiguration('/state'), ...files], environment: {} });
    expect(warnings.filter((warning) => warning.includes('the directory of the cache is all'))).toHaveLength(2);
  });
});
