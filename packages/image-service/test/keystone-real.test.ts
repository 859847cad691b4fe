import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Access } from '../src/auth/access.ts';
import { openAccess } from '../src/auth/access.ts';
import type { Caller } from '../src/auth/caller.ts';
import { loadConfiguration } from '../src/config/load.ts';
import type { RealKeystone } from './real-keystone.ts';
import { startRealKeystone } from './real-keystone.ts';

/** A Keystone of Debian, with the users that the guide in docs/authentication.md makes, and one more project. */
let keystone: RealKeystone;
let demo: string;
const PASSWORD = 'pass$word;#';
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
    expect(status).toBe(204);
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
