import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { Access } from '../src/auth/access.ts';
import { openAccess } from '../src/auth/access.ts';
import type { Caller } from '../src/auth/caller.ts';
import { loadConfiguration } from '../src/config/load.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import type { RealKeystone } from './real-keystone.ts';
import { startRealKeystone } from './real-keystone.ts';

/** A Keystone of Debian, with the users that the guide in docs/authentication.md makes, and one more project. */
let keystone: RealKeystone;
let demo: string;
const PASSWORD = 'pass$word;#';
/** Each call of OpenStack's client starts a Python with hundreds of modules. */
const CLIENT_LIMIT_MS = 240_000;
const opened: Access[] = [];

beforeAll(async () => {
  keystone = await startRealKeystone();
  const roles = (await keystone.call('GET', '/roles')).body['roles'] as unknown as readonly {
    id: string;
    name: string;
  }[];
  const roleId = (name: string): string => roles.find((role) => role.name === name)?.id ?? '';
  const service = (await keystone.call('POST', '/roles', { role: { name: 'service' } })).body['role']?.id ?? '';
  const services = await newProject('service');
  demo = await newProject('demo');
  await newUser('glance', services, [service]);
  await newUser('nova', services, [service]);
  await newUser('ann', demo, [roleId('member')]);
  await newUser('intruder', services, [roleId('member')]);
});
afterEach(async () => {
  for (const access of opened.splice(0)) await access.close();
});
afterAll(() => keystone?.stop());

async function newProject(name: string): Promise<string> {
  const { body } = await keystone.call('POST', '/projects', { project: { name, domain_id: 'default' } });
  return body['project']?.id ?? '';
}

async function newUser(name: string, project: string, roles: readonly string[]): Promise<void> {
  const user = { name, domain_id: 'default', password: PASSWORD, default_project_id: project };
  const { body } = await keystone.call('POST', '/users', { user });
  const id = body['user']?.id ?? '';
  for (const role of roles) {
    const { status } = await keystone.call('PUT', `/projects/${project}/users/${id}/roles/${role}`);
    if (status !== 204) throw new Error(`Keystone gives ${name} no role: ${status}`);
  }
}

async function open(lines: string = '', logged: string[] = []): Promise<Access> {
  const text = `
[task]
work_dir = /work
[glance_store]
filesystem_store_datadir = /images
[diskmorph]
state_database = sqlite:/state/state.db
[paste_deploy]
flavor = keystone
[keystone_authtoken]
auth_url = ${keystone.url.replace(/\/v3$/, '')}
auth_type = password
username = glance
password = ${PASSWORD.replaceAll('$', '$$$$')}
user_domain_name = Default
project_domain_name = Default
project_name = service
region_name = RegionOne
${lines}`;
  const configuration = loadConfiguration({ files: [{ name: '(test)', text }], environment: {} });
  const access = await openAccess(configuration.access, {
    log: (message) => logged.push(message),
    now: Date.now,
    sleep: async () => {},
  });
  opened.push(access);
  return access;
}

function ask({ authenticator }: Access, token: string, service?: string): Promise<Caller> {
  return authenticator.authenticate(
    new Map([['x-auth-token', token], ...(service === undefined ? [] : [['x-service-token', service] as const])]),
  );
}

describe('a real Keystone', () => {
  test('tells who has a token, and the rules follow from it', async () => {
    const access = await open();
    const caller = await ask(access, await keystone.logIn('ann', PASSWORD, 'demo'));
    expect(caller).toMatchObject({
      userName: 'ann',
      userDomainId: 'default',
      projectId: demo,
      projectName: 'demo',
      projectDomainId: 'default',
      // Keystone's member implies its reader.
      roles: expect.arrayContaining(['member', 'reader']),
      isAdminProject: true,
      isAdmin: false,
    });
    expect(access.policy.allows('delete_image', caller, { project_id: demo })).toBe(true);
    expect(access.policy.allows('delete_image', caller, { project_id: 'other' })).toBe(false);
    expect(access.policy.allows('publicize_image', caller, { project_id: demo })).toBe(false);
  });

  test('knows its administrator', async () => {
    const access = await open();
    const caller = await ask(access, await keystone.logIn('admin', keystone.adminPassword, 'admin'));
    expect(caller).toMatchObject({ userName: 'admin', isAdmin: true });
    expect(access.policy.allows('publicize_image', caller, { project_id: demo })).toBe(true);
  });

  test('a token without a project has no project and may nothing', async () => {
    const access = await open();
    const user = { name: 'drifter', domain_id: 'default', password: PASSWORD };
    await keystone.call('POST', '/users', { user });
    const caller = await ask(access, await keystone.logIn('drifter', PASSWORD));
    expect(caller).toMatchObject({ projectId: null, roles: [] });
    expect(access.policy.allows('get_images', caller, { project_id: null })).toBe(false);
  });

  test('a revoked token is refused where nothing is cached', async () => {
    const access = await open('token_cache_time = -1');
    const token = await keystone.logIn('ann', PASSWORD, 'demo');
    expect((await ask(access, token)).userName).toBe('ann');
    const response = await fetch(`${keystone.url}/auth/tokens`, {
      method: 'DELETE',
      headers: { 'x-auth-token': token, 'x-subject-token': token },
    });
    expect(response.status).toBe(204);
    await expect(ask(access, token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('a text that is no token is refused, with where to get one', async () => {
    const refused = ask(await open('www_authenticate_uri = https://keystone.example'), 'nonsense');
    await expect(refused).rejects.toMatchObject({
      code: 'unauthenticated',
      challenge: 'Keystone uri="https://keystone.example"',
    });
  });

  test('a service passes on who calls it', async () => {
    const access = await open('service_token_roles_required = true');
    const ann = await keystone.logIn('ann', PASSWORD, 'demo');
    const nova = await keystone.logIn('nova', PASSWORD, 'service');
    expect(await ask(access, ann, nova)).toMatchObject({ userName: 'ann', serviceRoles: ['service'] });
    await expect(ask(access, ann, ann)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test.each([
    ['password = wrong', 'refuses the user of the service'],
    ['region_name = RegionTwo', 'no identity service for the interface internal in region RegionTwo'],
    ['username = intruder', 'does not let the user of the service check tokens'],
  ])('%s is told to the operator, and to callers only that nobody can be asked', async (line, told) => {
    const logged: string[] = [];
    const access = await open(line, logged);
    const token = await keystone.logIn('ann', PASSWORD, 'demo');
    await expect(ask(access, token)).rejects.toMatchObject({ code: 'identity_unavailable' });
    expect(logged).toEqual([expect.stringContaining(told)]);
  });
});

/** What the client prints, or what it fails with. */
async function openstack(user: string, project: string, ...args: string[]): Promise<string> {
  const { PATH } = process.env;
  const env = {
    PATH,
    LC_ALL: 'C.UTF-8',
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: user,
    OS_PASSWORD: user === 'admin' ? keystone.adminPassword : PASSWORD,
    OS_PROJECT_NAME: project,
    OS_USER_DOMAIN_ID: 'default',
    OS_PROJECT_DOMAIN_ID: 'default',
    OS_IDENTITY_API_VERSION: '3',
  };
  const run = promisify(execFile)('openstack', args, { env });
  run.child.stdin?.end();
  return run.then(
    ({ stdout }) => stdout,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

async function imagesOf(user: string, project: string): Promise<readonly string[]> {
  const listed = await openstack(user, project, 'image', 'list', '-f', 'value', '-c', 'Name');
  return listed
    .split('\n')
    .filter((name) => name !== '')
    .sort();
}

describe("OpenStack's client, by the catalogue of a real Keystone", () => {
  let world: ApiWorld;
  beforeAll(async () => {
    await requirePackage('openstack', 'python3-openstackclient');
    const settings = {
      auth_url: keystone.url,
      username: 'glance',
      password: PASSWORD,
      user_domain_id: 'default',
      project_name: 'service',
      project_domain_id: 'default',
    };
    const options = Object.entries(settings).map(([name, value]) => [`keystone_authtoken.${name}`, value] as const);
    world = await makeApiWorld({ overrides: { 'paste_deploy.flavor': 'keystone', ...Object.fromEntries(options) } });
    const service = { name: 'glance', type: 'image' };
    const made = await keystone.call('POST', '/services', { service });
    const serviceId = made.body['service']?.id;
    if (serviceId === undefined) throw new Error(`Keystone makes no service: ${JSON.stringify(made)}`);
    for (const name of ['public', 'internal', 'admin']) {
      const endpoint = { service_id: serviceId, interface: name, region_id: 'RegionOne', url: world.url };
      const { status, body } = await keystone.call('POST', '/endpoints', { endpoint });
      if (status !== 201) throw new Error(`Keystone takes no endpoint: ${JSON.stringify(body)}`);
    }
  });
  afterAll(() => world?.remove());

  test(
    'a member makes images of their project, which others do not see; an administrator makes public ones',
    async () => {
      const made = await openstack(
        'ann',
        'demo',
        'image',
        'create',
        '--private',
        '-f',
        'value',
        '-c',
        'owner',
        'of-demo',
      );
      expect(made.trim()).toBe(demo);
      expect(await openstack('ann', 'demo', 'image', 'create', '--public', 'loud')).toContain(
        'You are not authorized to complete publicize_image action',
      );
      expect(
        await openstack('admin', 'admin', 'image', 'create', '--public', '-f', 'value', '-c', 'visibility', 'for-all'),
      ).toBe('public\n');
      expect(await imagesOf('ann', 'demo')).toEqual(['for-all', 'of-demo']);
      expect(await imagesOf('intruder', 'service')).toEqual(['for-all']);
      expect(await openstack('intruder', 'service', 'image', 'delete', 'of-demo')).toContain('Failed to delete');
      expect(await openstack('intruder', 'service', 'image', 'delete', 'for-all')).toContain('403');
      expect(await openstack('ann', 'demo', 'image', 'delete', 'of-demo')).toBe('');
      expect(await imagesOf('admin', 'admin')).toEqual(['for-all']);
    },
    CLIENT_LIMIT_MS,
  );
});
