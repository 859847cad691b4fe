import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { issueToken } from '../src/auth/tokens/issue-token.ts';
import { ConfigurationError } from '../src/config/problem.ts';
import { serveImages } from '../src/server.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import type { World } from './world.ts';
import { makeWorld, memoryDirectory } from './world.ts';

/** Every test has a token file of its own, beside a world that is used to have a directory. */
let place: World;
let served: ApiWorld | undefined;
let tokenFile: string;

beforeEach(async () => {
  place = await makeWorld(await memoryDirectory());
  tokenFile = place.path('tokens.yaml');
});
afterEach(async () => {
  await served?.remove();
  served = undefined;
  await place.remove();
});

async function serve(overrides: Readonly<Record<string, string>> = {}): Promise<ApiWorld> {
  served = await makeApiWorld({ overrides: { 'diskmorph.token_file': tokenFile, ...overrides } });
  return served;
}

function tokenOf(userId: string, projectId: string, ...roles: string[]): Promise<string> {
  return issueToken(tokenFile, { userId, projectId, roles }, randomBytes);
}

function call(line: string, token: string, body?: unknown): Promise<Answer> {
  if (served === undefined) throw new Error('nothing is served');
  return served.call(line, {
    headers: token === '' ? {} : { 'x-auth-token': token },
    ...(body === undefined ? {} : { body }),
  });
}

describe('with static tokens', () => {
  test('who has none is refused with a challenge, but what is open stays open', async () => {
    await tokenOf('ann', 'p1', 'member');
    await serve();
    const refused = await call('GET /v2/images', '');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Token realm="diskmorph"']);
    expect((await call('GET /v2/images', 'dmt_wrong')).status).toBe(401);
    expect((await call('GET /versions', '')).status).toBe(200);
    expect((await call('GET /healthcheck', '')).status).toBe(200);
  });

  test('an image belongs to the project of its maker; others do not know of it', async () => {
    const ann = await tokenOf('ann', 'p1', 'member');
    const reader = await tokenOf('rea', 'p1', 'reader');
    const other = await tokenOf('bob', 'p2', 'member');
    const admin = await tokenOf('root', 'ops', 'admin');
    await serve();
    const made = await call('POST /v2/images', ann, { name: 'mine' });
    expect([made.status, made.json['owner'], made.json['visibility']]).toEqual([201, 'p1', 'shared']);
    const path = `/v2/images/${String(made.json['id'])}`;
    expect((await call(`GET ${path}`, reader)).status).toBe(200);
    expect((await call(`GET ${path}`, other)).status).toBe(404);
    expect((await call(`GET ${path}`, admin)).status).toBe(200);
    expect((await call(`DELETE ${path}`, reader)).status).toBe(403);
    expect((await call(`DELETE ${path}`, other)).status).toBe(404);
    expect((await call('POST /v2/images', reader, { name: 'no' })).status).toBe(403);
    expect((await call('POST /v2/images', ann, { visibility: 'public' })).status).toBe(403);
    expect((await call('POST /v2/images', admin, { visibility: 'public' })).status).toBe(201);
    expect((await call(`DELETE ${path}`, ann)).status).toBe(204);
  });

  test('a policy file changes what they may do', async () => {
    const ann = await tokenOf('ann', 'p1', 'member');
    await writeFile(place.path('policy.yaml'), 'publicize_image: "rule:context_is_admin or user_id:ann"');
    await serve({ 'oslo_policy.policy_file': place.path('policy.yaml') });
    expect((await call('POST /v2/images', ann, { visibility: 'public' })).status).toBe(201);
  });

  test('any address may be served', async () => {
    await tokenOf('ann', 'p1', 'member');
    served = await makeApiWorld({ host: '0.0.0.0', overrides: { 'diskmorph.token_file': tokenFile } });
    expect(served.url).toContain('http://');
  });
});

/** What the start is refused with. */
async function start(overrides: Readonly<Record<string, string>>, host: string = '127.0.0.1'): Promise<unknown> {
  const options = { configFiles: [place.configFile], environment: {}, port: 0, version: '0', host, overrides };
  const error: unknown = await serveImages(options).catch((thrown: unknown) => thrown);
  return error instanceof ConfigurationError ? error.message : error;
}

describe('what cannot be used stops the start', () => {
  test('an address of the network, while nobody is asked', async () => {
    expect(await start({}, '0.0.0.0')).toContain('nobody is asked who they are');
  });

  test('a token file that is not there', async () => {
    expect(await start({ 'diskmorph.token_file': tokenFile })).toContain(
      `[diskmorph] token_file = ${tokenFile}: there is no such token file`,
    );
  });

  test('a bad rule, with its name and column', async () => {
    const path = place.path('policy.yaml');
    await writeFile(path, 'get_image: "role:reader and"');
    expect(await start({ 'oslo_policy.policy_file': path })).toContain(
      `[oslo_policy] policy_file = ${path}: rule "get_image", column 16: a check is missing at the end`,
    );
  });
});
