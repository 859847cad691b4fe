/** Limits of projects in a real Keystone. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { UnifiedLimitReader } from '../src/auth/keystone/unified-limits.ts';
import { unifiedLimits } from '../src/auth/keystone/unified-limits.ts';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import type { RealKeystone } from './real-keystone.ts';
import { startRealKeystone } from './real-keystone.ts';

let keystone: RealKeystone;
let stopped = false;
let world: ApiWorld | undefined;
let project: string;
let endpointId: string;
let serviceId: string;

const RAW = { disk_format: 'raw', container_format: 'bare' };

async function posted(path: string, body: unknown): Promise<Readonly<Record<string, unknown>>> {
  const answer = await keystone.call('POST', path, body);
  if (answer.status !== 201) throw new Error(`Keystone answers ${path} with ${answer.status}`);
  return answer.body;
}

async function made(path: string, key: string, body: Readonly<Record<string, unknown>>): Promise<string> {
  return ((await posted(path, { [key]: body }))[key] as unknown as { readonly id: string }).id;
}

beforeAll(async () => {
  keystone = await startRealKeystone();
  project = await made('/projects', 'project', { name: 'limited', domain_id: 'default' });
  serviceId = await made('/services', 'service', { name: 'images', type: 'image' });
  const endpoint = { service_id: serviceId, interface: 'public', region_id: 'RegionOne', url: 'http://127.0.0.1:9292' };
  endpointId = await made('/endpoints', 'endpoint', endpoint);
  const registered = { image_count_total: 1, image_size_total: 1, image_stage_total: -1, image_count_uploading: 10 };
  const limits = Object.entries(registered).map(([resource_name, default_limit]) => ({
    service_id: serviceId,
    region_id: 'RegionOne',
    resource_name,
    default_limit,
  }));
  await posted('/registered_limits', { registered_limits: limits });
  const own = { service_id: serviceId, region_id: 'RegionOne', project_id: project };
  await posted('/limits', { limits: [{ ...own, resource_name: 'image_count_total', resource_limit: 2 }] });
  // The administrator that Keystone begins with has its role in a project, and gets it for the whole system.
  const users = (await keystone.call('GET', '/users?name=admin')).body['users'] as unknown as { id: string }[];
  const roles = (await keystone.call('GET', '/roles?name=admin')).body['roles'] as unknown as { id: string }[];
  await keystone.call('PUT', `/system/users/${users[0]?.id}/roles/${roles[0]?.id}`);
});
afterAll(async () => {
  await world?.remove();
  if (!stopped) await keystone?.stop();
});

function reader(now: () => number, believedMs: number = 1000): UnifiedLimitReader {
  return unifiedLimits(
    {
      authUrl: keystone.url,
      credentials: {
        method: 'password',
        user: { name: 'admin', domainId: 'default' },
        password: keystone.adminPassword,
        scope: 'system',
      },
      interface: 'public',
      region: undefined,
      challengeUri: keystone.url,
      ca: undefined,
      verifyCertificates: true,
      requestTimeoutMs: 10_000,
      retries: 0,
      cacheMs: 0,
      refusalCacheMs: 0,
      cacheEntries: 1,
      serviceTokenRoles: [],
      serviceTokenRolesRequired: false,
      endpointId,
      believedMs,
    },
    { log: () => {}, now, sleep: async () => {} },
  );
}

test('the limits of a project are its own, else the registered ones', async () => {
  const limits = reader(Date.now);
  const own = await limits.of(project);
  expect([own.get('image_count_total'), own.get('image_size_total'), own.get('image_stage_total')]).toEqual([2, 1, -1]);
  expect((await limits.of('another')).get('image_count_total')).toBe(1);
  expect((await limits.of(null)).get('image_count_total')).toBe(1);
  limits.close();
});

test('they are kept by the service', async () => {
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    overrides: {
      'paste_deploy.flavor': 'keystone',
      'keystone_authtoken.auth_url': keystone.url,
      'keystone_authtoken.username': 'admin',
      'keystone_authtoken.user_domain_id': 'default',
      'keystone_authtoken.password': keystone.adminPassword,
      'keystone_authtoken.project_name': 'admin',
      'keystone_authtoken.project_domain_id': 'default',
      'DEFAULT.use_keystone_limits': 'true',
      'oslo_limit.endpoint_id': endpointId,
    },
  });
  const register = async (as: string): Promise<number> =>
    (await world?.call('POST /v2/images', { as, body: RAW }))?.status ?? 0;
  expect([await register('q:member'), await register('q:member')]).toEqual([201, 413]);
  const member = `${project}:member`;
  expect([await register(member), await register(member), await register(member)]).toEqual([201, 201, 413]);
  expect((await world.call('GET /v2/info/usage', { as: member })).json['usage']).toEqual({
    image_size_total: { usage: 0, limit: 1 },
    image_stage_total: { usage: 0, limit: -1 },
    image_count_total: { usage: 2, limit: 2 },
    image_count_uploading: { usage: 0, limit: 10 },
  });
});

test('while Keystone is away the last ones hold; where there are none yet, nobody knows', async () => {
  let now = Date.now();
  const limits = reader(() => now);
  expect((await limits.of(project)).get('image_count_total')).toBe(2);
  stopped = true;
  await keystone.stop();
  now += 10_000;
  expect((await limits.of(project)).get('image_count_total')).toBe(2);
  await expect(limits.of('another')).rejects.toThrow('cannot be reached');
  expect((await world?.call('POST /v2/images', { as: 'unknown:member', body: RAW }))?.status).toBe(503);
  limits.close();
});
