import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Access, AccessSettings } from './access.ts';
import { AccessError, openAccess } from './access.ts';
import { LOCAL_ADMINISTRATOR } from './caller.ts';
import { issueToken } from './tokens/issue-token.ts';

let directory: string;
const opened: Access[] = [];
let logged: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'access-'));
  logged = [];
});
afterEach(async () => {
  for (const access of opened.splice(0)) await access.close();
  await rm(directory, { recursive: true });
});

const at = (name: string): string => join(directory, name);
const headers = (token: string): Map<string, string> => new Map([['x-auth-token', token]]);

async function open(settings: Partial<AccessSettings> = {}): Promise<Access> {
  const access = await openAccess(
    { keystone: undefined, tokenFile: undefined, policyFile: undefined, ...settings },
    { log: (message) => logged.push(message), now: Date.now, sleep: async () => {} },
  );
  opened.push(access);
  return access;
}

async function problemOf(settings: Partial<AccessSettings>): Promise<unknown> {
  const error: unknown = await open(settings).catch((thrown: unknown) => thrown);
  return error instanceof AccessError ? [error.setting, error.problems] : error;
}

/** Nothing listens there: whoever is asked about it gets 503. */
const AWAY: NonNullable<AccessSettings['keystone']> = {
  authUrl: 'http://127.0.0.1:1/v3',
  credentials: { method: 'password', user: { id: 'u' }, password: 'p', scope: 'system' },
  interface: 'internal',
  region: undefined,
  challengeUri: 'http://keystone.example',
  cafile: undefined,
  verifyCertificates: true,
  requestTimeoutMs: 5000,
  retries: 0,
  cacheMs: 0,
  serviceTokenRoles: ['service'],
  serviceTokenRolesRequired: false,
};

test('without settings nobody is asked, and everybody is the local administrator', async () => {
  const access = await open();
  expect(access.asks).toBe('nobody');
  expect(await access.authenticator.authenticate(new Map())).toEqual(LOCAL_ADMINISTRATOR);
  expect(access.policy.allows('publicize_image', LOCAL_ADMINISTRATOR, {})).toBe(true);
});

test('the rule context_is_admin says who is an administrator', async () => {
  await writeFile(at('policy.yaml'), 'context_is_admin: "role:cloud_admin and project_id:ops"');
  const holder = { userId: 'u', projectId: 'ops' };
  const admin = await issueToken(at('tokens'), { ...holder, roles: ['cloud_admin'] }, randomBytes);
  const other = await issueToken(at('tokens'), { ...holder, roles: ['admin'] }, randomBytes);
  const policyFile = { path: at('policy.yaml'), required: true };
  const { authenticator, policy, asks } = await open({ tokenFile: at('tokens'), policyFile });
  expect(asks).toBe('everybody');
  const caller = await authenticator.authenticate(headers(admin));
  expect([caller.isAdmin, policy.allows('publicize_image', caller, {})]).toEqual([true, true]);
  expect((await authenticator.authenticate(headers(other))).isAdmin).toBe(false);
});

describe('static tokens and Keystone together', () => {
  test('a static token never goes to Keystone, any other goes there', async () => {
    const token = await issueToken(at('tokens'), { userId: 'ci', projectId: 'p', roles: ['member'] }, randomBytes);
    const { authenticator } = await open({ tokenFile: at('tokens'), keystone: AWAY });
    expect((await authenticator.authenticate(headers(token))).userId).toBe('ci');
    await expect(authenticator.authenticate(headers(`${token}x`))).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(authenticator.authenticate(headers('gAAAA'))).rejects.toMatchObject({ code: 'identity_unavailable' });
  });

  test('who has none is told of Keystone', async () => {
    await issueToken(at('tokens'), { userId: 'ci', projectId: 'p', roles: [] }, randomBytes);
    const { authenticator } = await open({ tokenFile: at('tokens'), keystone: AWAY });
    await expect(authenticator.authenticate(new Map())).rejects.toMatchObject({
      code: 'unauthenticated',
      challenge: 'Keystone uri="http://keystone.example"',
    });
  });
});

describe('a file that cannot be used stops the start', () => {
  test('a policy file that was named and is not there', async () => {
    const policyFile = { path: at('policy.yaml'), required: true };
    expect(await problemOf({ policyFile })).toEqual(['policyFile', ['there is no such file']]);
  });

  test('but not one that is only looked for', async () => {
    const { policy } = await open({ policyFile: { path: at('policy.yaml'), required: false } });
    expect(policy.allows('default', LOCAL_ADMINISTRATOR, {})).toBe(true);
  });

  test('bad rules, each with its name and column', async () => {
    await writeFile(at('policy.yaml'), 'get_image: "role:a or"\nadd_image: "rule:get_imag"\nmine: "("');
    const policyFile = { path: at('policy.yaml'), required: false };
    expect(await problemOf({ policyFile })).toEqual([
      'policyFile',
      [
        'rule "get_image", column 10: a check is missing at the end',
        'rule "mine", column 2: a check is missing at the end',
      ],
    ]);
  });

  test('a token file that others may read', async () => {
    await writeFile(at('tokens'), '', { mode: 0o644 });
    expect(await problemOf({ tokenFile: at('tokens') })).toEqual([
      'tokenFile',
      ['others may read or change the token file: chmod it to 640 or 600'],
    ]);
  });

  test.each([
    [undefined, 'cannot be read: ENOENT'],
    ['no certificate', 'holds no certificate in PEM'],
  ])('certificates of Keystone: %s', async (text, problem) => {
    if (text !== undefined) await writeFile(at('ca.pem'), text);
    expect(await problemOf({ keystone: { ...AWAY, cafile: at('ca.pem') } })).toEqual(['cafile', [problem]]);
  });

  test('a rule without effect is only warned about', async () => {
    await writeFile(at('policy.yaml'), 'get_imagez: "@"');
    await open({ policyFile: { path: at('policy.yaml'), required: true } });
    expect(logged).toEqual([expect.stringContaining('"get_imagez"')]);
  });
});
