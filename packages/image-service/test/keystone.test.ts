import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Authenticator, Caller } from '../src/auth/caller.ts';
import { keystone } from '../src/auth/keystone/keystone.ts';
import type { KeystoneSettings } from '../src/auth/keystone/settings.ts';
import type { FakeKeystone, FakeToken } from './fake-keystone.ts';
import { startFakeKeystone } from './fake-keystone.ts';

const HOUR = 3_600_000;
let clock: number;
let fake: FakeKeystone;
let logged: string[];
let slept: number[];
const opened: Authenticator[] = [];

beforeEach(async () => {
  clock = Date.parse('2030-01-01T00:00:00Z');
  logged = [];
  slept = [];
  fake = await startFakeKeystone(() => clock);
});
afterEach(async () => {
  for (const authenticator of opened.splice(0)) await authenticator.close();
  await fake.close();
});

function open(more: Partial<KeystoneSettings> = {}): Authenticator {
  const settings: KeystoneSettings = {
    authUrl: `${fake.url}/v3`,
    credentials: {
      method: 'password',
      user: { name: 'glance', domainName: 'Default' },
      password: 'service secret',
      scope: { name: 'service', domainId: 'default' },
    },
    interface: 'internal',
    region: undefined,
    challengeUri: 'http://keystone.example:5000',
    ca: undefined,
    verifyCertificates: true,
    requestTimeoutMs: 20_000,
    retries: 2,
    cacheMs: 300_000,
    refusalCacheMs: 10_000,
    cacheEntries: 100,
    serviceTokenRoles: ['service'],
    serviceTokenRolesRequired: false,
    ...more,
  };
  const authenticator = keystone(settings, { log: (message) => logged.push(message), now: () => clock, sleep });
  opened.push(authenticator);
  return authenticator;
}

async function sleep(ms: number): Promise<void> {
  slept.push(ms);
}

function know(name: string, more: Partial<FakeToken> = {}): void {
  fake.tokens.set(name, { project: 'demo', roles: ['Member', 'reader'], expiresAt: clock + HOUR, ...more });
}

function ask(authenticator: Authenticator, token: string, service?: string): Promise<Caller> {
  const headers = new Headers({ 'X-Auth-Token': token });
  if (service !== undefined) headers.set('X-Service-Token', service);
  return authenticator.authenticate(headers);
}

describe('a token of Keystone', () => {
  test('tells who has it, checked with the token of the service', async () => {
    know('t');
    expect(await ask(open(), 't')).toEqual({
      userId: 'ann-id',
      userName: 'ann',
      userDomainId: 'default',
      projectId: 'demo-id',
      projectName: 'demo',
      projectDomainId: 'default',
      domainId: null,
      systemScope: null,
      roles: ['member', 'reader'],
      isAdminProject: true,
      isAdmin: false,
      serviceRoles: [],
      serviceUserId: null,
      serviceProjectId: null,
      expiresAt: clock + HOUR,
    });
    expect(fake.checks).toEqual([{ url: '/v3/auth/tokens?nocatalog=1', own: 'own-1', subject: 't' }]);
    expect(fake.logIns).toEqual([
      {
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: 'glance', domain: { name: 'Default' }, password: 'service secret' } },
          },
          scope: { project: { name: 'service', domain: { id: 'default' } } },
        },
      },
    ]);
  });

  test.each<[token: Partial<FakeToken>, caller: Partial<Caller>]>([
    [{ system: true }, { systemScope: 'all', projectId: 'demo-id' }],
    [{ domain: 'acme' }, { domainId: 'acme-id' }],
    [{ is_admin_project: false }, { isAdminProject: false }],
    [{ is_admin_project: true }, { isAdminProject: true }],
    [{ roles: [] }, { roles: [] }],
  ])('with %j is a caller with %j', async (token, caller) => {
    know('t', token);
    expect(await ask(open(), 't')).toMatchObject(caller);
  });

  test('is asked about once, whoever asks meanwhile and for the time of the cache', async () => {
    know('t');
    const authenticator = open();
    await Promise.all([ask(authenticator, 't'), ask(authenticator, 't'), ask(authenticator, 't')]);
    clock += 299_999;
    await ask(authenticator, 't');
    expect([fake.checks.length, fake.logIns.length]).toEqual([1, 1]);
    clock += 1;
    await ask(authenticator, 't');
    expect([fake.checks.length, fake.logIns.length]).toEqual([2, 1]);
  });

  test('is always asked about where the cache is off', async () => {
    know('t');
    const authenticator = open({ cacheMs: 0 });
    await ask(authenticator, 't');
    fake.tokens.delete('t');
    await expect(ask(authenticator, 't')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('that is revoked is refused once the cache has let go of it, and then for a short while without asking', async () => {
    know('t');
    const authenticator = open();
    await ask(authenticator, 't');
    fake.tokens.delete('t');
    clock += 300_000;
    const challenge = 'Keystone uri="http://keystone.example:5000"';
    await expect(ask(authenticator, 't')).rejects.toMatchObject({ code: 'unauthenticated', challenge });
    await expect(ask(authenticator, 't')).rejects.toMatchObject({ code: 'unauthenticated', challenge });
    expect(fake.checks).toHaveLength(2);
    clock += 10_000;
    know('t');
    expect((await ask(authenticator, 't')).userId).toBe('ann-id');
  });

  test('ends at its time even in the cache', async () => {
    know('t', { expiresAt: clock + 1000 });
    const authenticator = open();
    await ask(authenticator, 't');
    clock += 1000;
    await expect(ask(authenticator, 't')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test.each(['', 'with space', 'ünicode', 'x'.repeat(8193)])(
    'of no possible shape never reaches Keystone: %.12s',
    async (token) => {
      const headers = new Map([['x-auth-token', token]]);
      await expect(open().authenticate(headers)).rejects.toMatchObject({ code: 'unauthenticated' });
      expect(fake.checks).toEqual([]);
    },
  );
});

describe('the token of the service', () => {
  test('is renewed before it ends', async () => {
    know('a');
    know('b');
    know('c');
    const authenticator = open();
    await ask(authenticator, 'a');
    clock += HOUR - 61_000;
    await ask(authenticator, 'b');
    expect(fake.logIns).toHaveLength(1);
    clock += 1000;
    fake.ownExpiresAt = clock + HOUR;
    know('c');
    await ask(authenticator, 'c');
    expect(fake.checks.map(({ own }) => own)).toEqual(['own-1', 'own-1', 'own-2']);
  });

  test('that was revoked is fetched anew, and the check repeated', async () => {
    know('a');
    know('b');
    const authenticator = open();
    await ask(authenticator, 'a');
    fake.ownTokens.clear();
    expect((await ask(authenticator, 'b')).userId).toBe('ann-id');
    expect(fake.checks.map(({ own }) => own)).toEqual(['own-1', 'own-1', 'own-2']);
  });

  test('is asked for once, however many callers need it', async () => {
    for (const name of ['a', 'b', 'c', 'd']) know(name);
    const authenticator = open();
    await Promise.all(['a', 'b', 'c', 'd'].map((name) => ask(authenticator, name)));
    expect([fake.logIns.length, fake.checks.length]).toEqual([1, 4]);
  });

  test.each<[credentials: KeystoneSettings['credentials'], auth: unknown]>([
    [
      { method: 'password', user: { id: 'u' }, password: 'p', scope: 'system' },
      {
        identity: { methods: ['password'], password: { user: { id: 'u', password: 'p' } } },
        scope: { system: { all: true } },
      },
    ],
    [
      { method: 'application_credential', credential: { id: 'c' }, secret: 's' },
      {
        identity: { methods: ['application_credential'], application_credential: { id: 'c', secret: 's' } },
      },
    ],
    [
      {
        method: 'application_credential',
        credential: { name: 'c' },
        user: { name: 'u', domainId: 'd' },
        secret: 's',
      },
      {
        identity: {
          methods: ['application_credential'],
          application_credential: { name: 'c', user: { name: 'u', domain: { id: 'd' } }, secret: 's' },
        },
      },
    ],
  ])('is asked for as configured: %j', async (credentials, auth) => {
    know('t');
    await ask(open({ credentials }), 't');
    expect(fake.logIns).toEqual([{ auth }]);
  });
});

function endpoint(of: { readonly path: string; readonly interface: string; readonly region: string }): unknown {
  return {
    id: of.path,
    interface: of.interface,
    region: of.region,
    region_id: of.region,
    url: `${fake.url}${of.path}`,
  };
}

function catalog(): unknown[] {
  return [
    { type: 'image', endpoints: [endpoint({ path: '/image', interface: 'internal', region: 'one' })] },
    {
      type: 'identity',
      endpoints: [
        endpoint({ path: '/public/v3', interface: 'public', region: 'one' }),
        endpoint({ path: '/one', interface: 'internal', region: 'one' }),
        endpoint({ path: '/two/v3/', interface: 'internal', region: 'two' }),
      ],
    },
  ];
}

describe('where tokens are checked', () => {
  test.each<[settings: Partial<KeystoneSettings>, path: string]>([
    [{}, '/one/v3/auth/tokens?nocatalog=1'],
    [{ region: 'two' }, '/two/v3/auth/tokens?nocatalog=1'],
    [{ interface: 'public', region: 'one' }, '/public/v3/auth/tokens?nocatalog=1'],
  ])('%j: %s', async (settings, path) => {
    know('t');
    fake.catalog = catalog();
    await ask(open(settings), 't');
    expect(fake.checks[0]?.url).toBe(path);
  });

  test('a region without an identity service is told to the operator', async () => {
    fake.catalog = catalog();
    await expect(ask(open({ region: 'three' }), 't')).rejects.toMatchObject({ code: 'identity_unavailable' });
    expect(logged).toEqual([expect.stringContaining('no identity service for the interface internal in region three')]);
  });
});

describe('a call that a service passes on', () => {
  beforeEach(() => {
    know('nova', { user: 'nova', project: 'service', roles: ['service'] });
    know('plain', { user: 'bob' });
  });

  test('bears both', async () => {
    know('t');
    expect(await ask(open(), 't', 'nova')).toMatchObject({
      userId: 'ann-id',
      roles: ['member', 'reader'],
      serviceUserId: 'nova-id',
      serviceProjectId: 'service-id',
      serviceRoles: ['service'],
    });
  });

  test('may bear a token that ended while the work went on', async () => {
    know('old', { expiresAt: clock - 1 });
    const authenticator = open();
    expect((await ask(authenticator, 'old', 'nova')).userId).toBe('ann-id');
    await expect(ask(authenticator, 'old')).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(ask(authenticator, 'old', 'plain')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('is refused with a service token that is not good, or has ended', async () => {
    know('t');
    know('ended', { roles: ['service'], expiresAt: clock - 1 });
    const authenticator = open();
    await expect(ask(authenticator, 't', 'nobody')).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(ask(authenticator, 't', 'ended')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('from a user without a role of services is refused only where that is required', async () => {
    know('t');
    expect((await ask(open(), 't', 'plain')).serviceUserId).toBe('bob-id');
    await expect(ask(open({ serviceTokenRolesRequired: true }), 't', 'plain')).rejects.toThrow('none of the roles');
  });
});

describe('when Keystone is in trouble', () => {
  const unavailable = { code: 'identity_unavailable', retryAfterSeconds: 5, challenge: undefined };

  test('nobody is let in and nobody told they are unknown; the operator reads it once, and once when it is over', async () => {
    know('t');
    const authenticator = open({ retries: 0 });
    fake.troubles.push({ on: 'log-in', status: 503, times: 2 });
    await expect(ask(authenticator, 't')).rejects.toMatchObject(unavailable);
    await expect(ask(authenticator, 't')).rejects.toMatchObject(unavailable);
    await ask(authenticator, 't');
    expect(logged).toEqual([
      expect.stringMatching(/^tokens cannot be checked: Keystone at 127\.0\.0\.1:\d+ answers with status 503$/),
      'tokens can be checked again',
    ]);
  });

  test('a call is repeated after a pause, and then goes on', async () => {
    know('t');
    fake.troubles.push({ on: 'log-in', status: 500, times: 1 }, { on: 'check', status: 502, times: 2 });
    await ask(open(), 't');
    expect(slept).toEqual([200, 200, 400]);
    expect(logged).toEqual([]);
  });

  test.each<[trouble: FakeKeystone['troubles'][number], told: string]>([
    [{ on: 'log-in', status: 401, times: 1 }, 'refuses the user of the service'],
    [{ on: 'log-in', status: 300, times: 1 }, 'the log-in of the service with status 300'],
    [{ on: 'check', status: 403, times: 1 }, 'does not let the user of the service check tokens'],
    [{ on: 'check', status: 401, times: 2 }, 'no longer takes the token of the service'],
    [{ on: 'check', status: 302, times: 1 }, 'the check of a token with status 302'],
    [{ on: 'check', status: 429, times: 1 }, 'the check of a token with status 429'],
    [{ on: 'check', body: '<html>', times: 1 }, 'no token of version 3'],
    [{ on: 'check', body: '{"token":{"user":{"id":"x"},"expires_at":"soon"}}', times: 1 }, 'whose end is no time'],
    [{ on: 'check', body: ' '.repeat(9 * 1024 * 1024), times: 1 }, 'more than'],
  ])('%o', async (trouble, told) => {
    know('t');
    fake.troubles.push(trouble);
    const authenticator = open();
    await expect(ask(authenticator, 't')).rejects.toMatchObject(unavailable);
    expect(logged).toEqual([expect.stringContaining(told)]);
    // Nothing of it is remembered.
    expect((await ask(authenticator, 't')).userId).toBe('ann-id');
  });

  test('an answer that does not come is given up, without another try', async () => {
    fake.troubles.push({ on: 'log-in', hang: true, times: 1 });
    await expect(ask(open({ requestTimeoutMs: 30 }), 't')).rejects.toMatchObject(unavailable);
    expect(logged).toEqual([expect.stringContaining('does not answer within 30 ms')]);
    expect(slept).toEqual([]);
  });

  test('a Keystone that is not there is said to be unreachable', async () => {
    const authenticator = open({ authUrl: 'http://127.0.0.1:1/v3' });
    await expect(ask(authenticator, 't')).rejects.toMatchObject(unavailable);
    expect(logged).toEqual(['tokens cannot be checked: Keystone at 127.0.0.1:1 cannot be reached: ECONNREFUSED']);
    expect(slept).toEqual([200, 400]);
  });

  test('what is cached is still good', async () => {
    know('t');
    const authenticator = open();
    await ask(authenticator, 't');
    fake.troubles.push({ on: 'check', status: 503, times: 100 });
    expect((await ask(authenticator, 't')).userId).toBe('ann-id');
  });
});

test('who gives up waiting leaves the answer to the others', async () => {
  know('t');
  const authenticator = open();
  const stop = new AbortController();
  const headers = new Map([['x-auth-token', 't']]);
  const given = authenticator.authenticate(headers, stop.signal);
  const kept = authenticator.authenticate(headers);
  stop.abort(new Error('gone'));
  await expect(given).rejects.toThrow('gone');
  expect((await kept).userId).toBe('ann-id');
  await expect(authenticator.authenticate(headers, stop.signal)).rejects.toThrow('gone');
});

test('the cache holds no more tokens than it may', async () => {
  const authenticator = open({ cacheEntries: 2 });
  for (const name of ['a', 'b', 'c']) know(name);
  for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await ask(authenticator, name);
  expect(fake.checks.map(({ subject }) => subject)).toEqual(['a', 'b', 'c', 'b']);
});
