/** What an address holds that lets somebody in is the caller's who gave it: nobody else is shown it, and no log has it. */
import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';
import { diskBytes } from './world.ts';

const OWNER = 'p:member';
const STRANGER = 'q:member';
const ADMIN = 'ops:admin';
const SECRET = 'tellNobody0123';
const QUERY = `X-Amz-Credential=${SECRET}&X-Amz-Signature=${SECRET}&AWSAccessKeyId=${SECRET}&part=1`;

let world: ApiWorld;
let web: WebFiles;
let logged: string[];

afterEach(async () => {
  await world.remove();
  await web.close();
});

async function serve(more: Readonly<Record<string, string>> = {}, policy: string = '{}'): Promise<void> {
  web = await startWebFiles();
  web.files.set(`/disk?${QUERY}`, diskBytes());
  logged = [];
  world = await makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    prepare: async ({ path }) => {
      await writeFile(path('policy.yaml'), policy);
      return { 'oslo_policy.policy_file': path('policy.yaml') };
    },
    logging: (entry: string): void => void logged.push(entry),
    overrides: {
      'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
      'import_filtering_opts.allowed_import_ports': new URL(web.url).port,
      'DEFAULT.debug': 'true',
      ...more,
    },
  });
}

async function register(): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', visibility: 'community' };
  return String((await world.call('POST /v2/images', { as: OWNER, body })).json['id']);
}

function importFrom(id: string, uri: string, as: string = OWNER): Promise<Answer> {
  return world.call(`POST /v2/images/${id}/import`, { as, body: { method: { name: 'web-download', uri } } });
}

/** The image's task as this caller sees it. */
async function taskSeen(id: string, as: string): Promise<Record<string, unknown>> {
  const { json } = await world.call(`GET /v2/images/${id}/tasks`, { as });
  return (json['tasks'] as Record<string, unknown>[])[0] ?? {};
}

async function followed(id: string): Promise<string> {
  const task = await taskSeen(id, OWNER);
  return (await world.call(`GET /v2/tasks/${String(task['id'])}/events`, { as: OWNER })).text;
}

/** Everything that is served about the image to somebody else. */
async function shownToOthers(id: string, as: string): Promise<string> {
  const paths = [`/v2/images/${id}`, `/v2/images/${id}/tasks`, '/v2/images?visibility=community'];
  const answers = await Promise.all(paths.map((path) => world.call(`GET ${path}`, { as })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  return answers.map(({ text }) => text).join('\n');
}

describe('the address of a download', () => {
  test.each([
    { how: 'succeeds', path: '/disk', status: 'success' },
    { how: 'fails', path: '/none', status: 'failure' },
  ])('that $how is shown whole to the project that gave it, to others without what its query says', async (given) => {
    await serve();
    const id = await register();
    const uri = `${web.url}${given.path}?${QUERY}`;
    expect((await importFrom(id, uri)).status).toBe(202);
    expect(await followed(id)).toContain(`"status":"${given.status}"`);
    for (const as of [OWNER, ADMIN]) {
      expect(await taskSeen(id, as)).toMatchObject({ input: { import_req: { method: { uri } } } });
    }
    expect(await taskSeen(id, STRANGER)).toMatchObject({
      status: given.status,
      input: {
        image_id: id,
        import_req: {
          method: {
            name: 'web-download',
            uri: `${web.url}${given.path}?X-Amz-Credential=***&X-Amz-Signature=***&AWSAccessKeyId=***&part=***`,
          },
        },
      },
    });
    expect(await shownToOthers(id, STRANGER)).not.toContain(SECRET);
    expect(JSON.stringify((await world.call(`GET /v2/images/${id}`, { as: OWNER })).json)).not.toContain(SECRET);
    expect(logged.length).toBeGreaterThan(10);
    expect(logged.join('')).not.toContain(SECRET);
  });

  test('that was given by an administrator is not the secret of the owner of the image', async () => {
    await serve();
    const id = await register();
    expect((await importFrom(id, `${web.url}/disk?${QUERY}`, ADMIN)).status).toBe(202);
    expect(JSON.stringify(await taskSeen(id, OWNER))).not.toContain(SECRET);
    expect(JSON.stringify(await taskSeen(id, ADMIN))).toContain(SECRET);
  });

  test('with a user and a password is refused before anything is recorded', async () => {
    await serve();
    const id = await register();
    const refused = await importFrom(id, web.url.replace('//', `//user:${SECRET}@`));
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('credentials');
    expect(refused.text).not.toContain(SECRET);
    expect(await taskSeen(id, OWNER)).toEqual({});
    expect(logged.join('')).not.toContain(SECRET);
    const input = { import_from: `http://:${SECRET}@127.0.0.1/x`, import_from_format: 'raw', image_properties: {} };
    const task = await world.call('POST /v2/tasks', { as: ADMIN, body: { type: 'import', input } });
    expect(task.status).toBe(400);
  });

  test('of a legacy task is not shown either', async () => {
    await serve();
    const properties = { container_format: 'bare', visibility: 'community' };
    const input = {
      import_from: `${web.url}/disk?${QUERY}`,
      import_from_format: 'raw',
      image_properties: properties,
    };
    const begun = await world.call('POST /v2/tasks', { as: ADMIN, body: { type: 'import', input } });
    expect(begun.json).toMatchObject({ input });
    await world.call(`GET ${begun.headers.get('location')}/events`, { as: ADMIN });
    const shown = await world.call(`GET /v2/images/${String(begun.json['image_id'])}/tasks`, { as: STRANGER });
    expect(shown.json).toMatchObject({
      tasks: [{ input: { import_from: `${web.url}/disk?${QUERY.replaceAll(/=[^&]*/g, '=***')}` } }],
    });
    expect(shown.text).not.toContain(SECRET);
    expect(logged.join('')).not.toContain(SECRET);
  });
});

describe('the address of a location', () => {
  test('is shown whole to its project and to services; to others without its signatures', async () => {
    const overrides = {
      'DEFAULT.enabled_backends': 'a:file, b:file, w:http',
      'w.http_allowed_addresses': '127.0.0.1',
      'DEFAULT.show_multiple_locations': 'true',
      'DEFAULT.show_image_direct_url': 'true',
    };
    await serve(overrides, '"get_image_location": "@"\n"get_image": "@"');
    const id = await register();
    const url = `${web.url}/disk?${QUERY}`;
    const added = await world.call(`POST /v2/images/${id}/locations`, { as: OWNER, body: { url } });
    expect(added.status).toBe(202);
    await followed(id);
    const seen = async (as: string): Promise<unknown> => {
      const { json } = await world.call(`GET /v2/images/${id}`, { as });
      return [json['direct_url'], (json['locations'] as { readonly url: string }[])[0]?.url];
    };
    expect(await seen(OWNER)).toEqual([url, url]);
    expect(await seen(ADMIN)).toEqual([url, url]);
    expect(await seen('q:service')).toEqual([url, url]);
    const masked = `${web.url}/disk?X-Amz-Credential=***&X-Amz-Signature=***&AWSAccessKeyId=***&part=1`;
    expect(await seen(STRANGER)).toEqual([masked, masked]);
    expect(await shownToOthers(id, STRANGER)).not.toContain(SECRET);
    expect(logged.join('')).not.toContain(SECRET);
  });
});
