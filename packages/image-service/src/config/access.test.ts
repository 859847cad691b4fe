import { describe, expect, test } from 'vitest';
import type { Configuration } from './load.ts';
import { loadConfiguration } from './load.ts';
import { ConfigurationError } from './problem.ts';

const BASE = `
[task]
work_dir = /work
[glance_store]
filesystem_store_datadir = /images
[diskmorph]
state_database = sqlite:/state/state.db
`;

const KEYSTONE = `
[paste_deploy]
flavor = keystone
[keystone_authtoken]
auth_url = http://keystone:5000
username = glance
password = a;b#c$$d
user_domain_name = Default
project_name = service
project_domain_id = default
`;

function load(text: string): Configuration {
  const files = [
    { name: '/etc/glance/glance-api.conf', text: BASE },
    { name: '/etc/glance/glance-api.conf.d/own.conf', text },
  ];
  return loadConfiguration({ files, environment: {} });
}

function problemsOf(text: string): readonly (readonly (string | undefined)[])[] {
  try {
    load(text);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.map(({ option, value, message }) => [option, value, message]);
  }
  return [];
}

test('without options nobody is asked, and policy.yaml is read beside the first file if it is there', () => {
  expect(load('').access).toEqual({
    keystone: undefined,
    tokenFile: undefined,
    policyFile: { path: '/etc/glance/policy.yaml', required: false },
  });
});

test('the built-in configuration has no policy file', () => {
  expect(loadConfiguration({ files: [{ name: '(built in)', text: BASE }], environment: {} }).access.policyFile).toBe(
    undefined,
  );
});

test.each([
  ['policy_file = mine.yaml', '/etc/glance/mine.yaml'],
  ['policy_file = /srv/policy.json', '/srv/policy.json'],
])('[oslo_policy] %s', (line, path) => {
  expect(load(`[oslo_policy]\n${line}`).access.policyFile).toEqual({ path, required: true });
});

test('Keystone as Glance has it', () => {
  expect(load(KEYSTONE).access.keystone).toEqual({
    authUrl: 'http://keystone:5000/v3',
    credentials: {
      method: 'password',
      user: { name: 'glance', domainName: 'Default' },
      password: 'a;b#c$d',
      scope: { name: 'service', domainId: 'default' },
    },
    interface: 'internal',
    region: undefined,
    challengeUri: 'http://keystone:5000/v3',
    cafile: undefined,
    verifyCertificates: true,
    requestTimeoutMs: 10_000,
    retries: 3,
    cacheMs: 300_000,
    serviceTokenRoles: ['service'],
    serviceTokenRolesRequired: false,
  });
});

test.each<[lines: string, part: Readonly<Record<string, unknown>>]>([
  ['www_authenticate_uri = https://out:5000', { challengeUri: 'https://out:5000' }],
  ['auth_uri = https://out:5000', { challengeUri: 'https://out:5000' }],
  ['auth_url = https://keystone/identity/', { authUrl: 'https://keystone/identity/v3' }],
  ['auth_url = https://keystone/v3/', { authUrl: 'https://keystone/v3' }],
  ['region_name = two\ninterface = public', { region: 'two', interface: 'public' }],
  ['insecure = yes', { verifyCertificates: false }],
  ['cafile = /etc/ca.pem', { cafile: '/etc/ca.pem' }],
  ['token_cache_time = -1', { cacheMs: 0 }],
  ['token_cache_time = 5', { cacheMs: 5000 }],
  [
    'service_token_roles = Service, nova\nservice_token_roles_required = true',
    {
      serviceTokenRoles: ['service', 'nova'],
      serviceTokenRolesRequired: true,
    },
  ],
  [
    'system_scope = all',
    {
      credentials: {
        method: 'password',
        user: { name: 'glance', domainName: 'Default' },
        password: 'a;b#c$d',
        scope: 'system',
      },
    },
  ],
  [
    'user_id = u\nproject_id = p',
    { credentials: { method: 'password', user: { id: 'u' }, password: 'a;b#c$d', scope: { id: 'p' } } },
  ],
  [
    'auth_type = v3applicationcredential\napplication_credential_id = c\napplication_credential_secret = s',
    {
      credentials: { method: 'application_credential', credential: { id: 'c' }, secret: 's' },
    },
  ],
  [
    'auth_type = v3applicationcredential\napplication_credential_name = c\napplication_credential_secret = s',
    {
      credentials: {
        method: 'application_credential',
        credential: { name: 'c' },
        user: { name: 'glance', domainName: 'Default' },
        secret: 's',
      },
    },
  ],
])('[keystone_authtoken] %s', (lines, part) => {
  expect(load(KEYSTONE + lines).access.keystone).toMatchObject(part);
});

describe('what is wrong is told at start', () => {
  const NEEDED = 'is needed with [paste_deploy] flavor = keystone';
  test.each<[text: string, problems: readonly (readonly (string | undefined)[])[]]>([
    [
      '[paste_deploy]\nflavor = keystone',
      ['auth_url', 'password', 'username', 'user_domain_id', 'project_name', 'project_domain_id'].map((option) => [
        option,
        undefined,
        NEEDED,
      ]),
    ],
    [
      `${KEYSTONE}auth_type = v3applicationcredential`,
      [
        ['application_credential_secret', undefined, NEEDED],
        ['application_credential_id', undefined, NEEDED],
      ],
    ],
    ['[paste_deploy]\nflavor = trusted-auth', [['flavor', 'trusted-auth', '"trusted-auth" is not known']]],
    [
      `${KEYSTONE}auth_url = keystone:5000`,
      [['auth_url', 'keystone:5000', 'is not an address such as http://keystone:5000/v3']],
    ],
    [
      `${KEYSTONE}delay_auth_decision = true`,
      [['delay_auth_decision', 'true', 'calls without a good token are always refused']],
    ],
    [`${KEYSTONE}interface = secret`, [['interface', 'secret', 'is not one of the choices']]],
    ['[diskmorph]\ntoken_file = tokens', [['token_file', 'tokens', 'must be an absolute path']]],
  ])('%s', (text, problems) => {
    expect(problemsOf(text)).toEqual(problems);
  });

  test('but never a password', () => {
    const text = `${KEYSTONE}password = pa$$ss$word`;
    expect(problemsOf(text)).toEqual([
      ['password', '(not shown)', expect.stringContaining('$word refers to an option')],
    ]);
  });

  test('settings of Keystone without the flavor are warned about', () => {
    expect(load(KEYSTONE.replace('flavor = keystone', 'flavor =')).warnings).toEqual([
      '[keystone_authtoken] is not used: [paste_deploy] flavor is not "keystone"',
    ]);
  });

  test.each(['keystone+caching', 'keystone+cachemanagement'])('flavor %s is keystone', (flavor) => {
    expect(load(KEYSTONE.replace('flavor = keystone', `flavor = ${flavor}`)).access.keystone).toBeDefined();
  });

  test('caching without keystone asks nobody', () => {
    expect(load('[paste_deploy]\nflavor = caching').access.keystone).toBeUndefined();
  });
});
