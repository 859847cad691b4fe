/** Every route, called by everybody who may come: what each of them is answered. A route that is not in the table fails the sweep. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Authenticator } from '../src/auth/caller.ts';
import { AuthError } from '../src/auth/errors.ts';
import type { ApiWorld, Call } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld, withCache } from './api-world.ts';

/** Who calls, in the order of the table's columns. */
const CALLERS = {
  owner: 'p:member',
  reader: 'p:reader',
  other: 'q:member',
  member: 'm:member',
  admin: 'ops:admin',
  nobody: undefined,
} as const;
type CallerName = keyof typeof CALLERS;
const NAMES = Object.keys(CALLERS) as readonly CallerName[];

const OCTETS = { 'content-type': 'application/octet-stream' };
const PATCH = { 'content-type': 'application/openstack-images-v2.1-json-patch' };
const RAW = { disk_format: 'raw', container_format: 'bare' };
const disk = new Uint8Array(1024).fill(0x55);

/** Asks for the header, as every real authentication does. */
const authenticator: Authenticator = {
  ...HEADER_AUTHENTICATION,
  async authenticate(headers) {
    if (headers.get('x-test-caller') !== undefined) return HEADER_AUTHENTICATION.authenticate(headers);
    throw new AuthError('unauthenticated', 'Who are you?', { challenge: 'Token realm="test"' });
  },
};

let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld({
    authenticator,
    prepare: withCache,
  });
});
afterAll(() => world.remove());

async function ok(line: string, call: Call): Promise<Record<string, unknown>> {
  const answer = await world.call(line, call);
  expect(answer.status, `${line}: ${answer.text}`).toBeLessThan(300);
  return answer.text === '' ? {} : answer.json;
}

/** The parts of a URL that vary. */
type Filling = Readonly<Record<string, string>>;

const OWNER = { as: CALLERS.owner };
const ADMIN = { as: CALLERS.admin };

async function queuedImage(): Promise<Filling> {
  const { id } = await ok('POST /v2/images', { ...OWNER, body: { ...RAW, tags: ['t'] } });
  await ok(`POST /v2/images/${String(id)}/members`, { ...OWNER, body: { member: 'm' } });
  return { imageId: String(id), memberId: 'm', tag: 't' };
}

async function activeImage(): Promise<Filling> {
  const filling = await queuedImage();
  await ok(`PUT /v2/images/${filling['imageId']}/file`, { ...OWNER, headers: OCTETS, body: disk });
  return filling;
}

async function stagedImage(): Promise<Filling> {
  const filling = await queuedImage();
  await ok(`PUT /v2/images/${filling['imageId']}/stage`, { ...OWNER, headers: OCTETS, body: disk });
  return filling;
}

async function importedImage(): Promise<Filling> {
  const filling = await stagedImage();
  const path = `/v2/images/${filling['imageId']}`;
  await ok(`POST ${path}/import`, { ...OWNER, body: { method: { name: 'glance-direct' }, stores: ['a', 'b'] } });
  const { tasks } = await ok(`GET ${path}/tasks`, OWNER);
  const taskId = (tasks as readonly { readonly id: string }[])[0]?.id ?? '';
  await world.call(`GET /v2/tasks/${taskId}/events`, ADMIN);
  return { ...filling, taskId, storeId: 'b' };
}

async function deactivatedImage(): Promise<Filling> {
  const filling = await activeImage();
  await ok(`POST /v2/images/${filling['imageId']}/actions/deactivate`, OWNER);
  return filling;
}

let namespaces = 0;

async function privateNamespace(): Promise<Filling> {
  const namespace = `N${namespaces++}`;
  const names = { objectName: 'o', propertyName: 'p', tagName: 't', resourceType: 'R' };
  await ok('POST /v2/metadefs/namespaces', {
    ...ADMIN,
    body: {
      namespace,
      owner: 'p',
      visibility: 'private',
      resource_type_associations: [{ name: 'R' }],
      properties: { p: { title: 'P', type: 'string' } },
      objects: [{ name: 'o' }],
      tags: [{ name: 't' }],
    },
  });
  return { namespace, ...names };
}

const nothing = async (): Promise<Filling> => ({ namespace: `M${namespaces++}` });

interface Row {
  /** What the call is about, made anew for each caller. */
  readonly of: () => Promise<Filling>;
  /** Statuses for owner, reader, other, member, admin, nobody. */
  readonly answers: string;
  readonly call?: (filling: Filling) => Call;
}

const row = (of: Row['of'], answers: string, call?: Row['call']): Row => ({
  of,
  answers,
  ...(call === undefined ? {} : { call }),
});
const json =
  (body: unknown): Row['call'] =>
  () => ({ body });

const OPEN = '200 200 200 200 200 200';
const EVERYBODY = '200 200 200 200 200 401';
const ADMINS = '403 403 403 403 200 401';
const KNOWING = '200 200 404 200 200 401';
const CHANGING = '204 403 404 403 204 401';
const OF_CACHED = '403 403 404 403 200 401';
const OWN_NAMESPACE = '200 200 404 404 200 401';

function adminsOf(status: number): string {
  return `403 403 404 404 ${status} 401`;
}

const ONE = '/v2/images/{imageId}';
const SPACE = '/v2/metadefs/namespaces/{namespace}';
const PROPERTY = { name: 'p', title: 'P', type: 'string' };

const TABLE: Readonly<Record<string, Row>> = {
  'GET /': row(nothing, '300 300 300 300 300 300'),
  'GET /v2': row(nothing, '300 300 300 300 300 300'),
  'GET /v2/': row(nothing, '300 300 300 300 300 300'),
  'GET /versions': row(nothing, OPEN),
  'GET /versions/': row(nothing, OPEN),
  'GET /healthcheck': row(nothing, OPEN),
  'HEAD /healthcheck': row(nothing, '204 204 204 204 204 204'),
  'GET /healthcheck/live': row(nothing, OPEN),
  'GET /openapi.json': row(nothing, OPEN),
  'GET /docs': row(nothing, OPEN),
  'GET /metrics': row(nothing, ADMINS),
  ...Object.fromEntries(
    ['image', 'images', 'member', 'members', 'task', 'tasks'].map((name) => [
      `GET /v2/schemas/${name}`,
      row(nothing, EVERYBODY),
    ]),
  ),
  ...Object.fromEntries(
    ['namespace', 'resource_type', 'object', 'tag']
      .flatMap((name) => [name, `${name}s`])
      .concat('property', 'properties')
      .map((name) => [`GET /v2/schemas/metadefs/${name}`, row(nothing, EVERYBODY)]),
  ),
  'GET /v2/info/import': row(nothing, EVERYBODY),
  'GET /v2/info/stores': row(nothing, EVERYBODY),
  'GET /v2/info/stores/detail': row(nothing, ADMINS),
  'GET /v2/info/usage': row(nothing, EVERYBODY),
  'GET /v2/images': row(activeImage, EVERYBODY),
  'POST /v2/images': row(nothing, '201 403 201 201 201 401', json(RAW)),
  [`GET ${ONE}`]: row(activeImage, KNOWING),
  [`PATCH ${ONE}`]: row(activeImage, '200 403 404 403 200 401', () => ({
    headers: PATCH,
    body: JSON.stringify([{ op: 'replace', path: '/name', value: 'n' }]),
  })),
  [`DELETE ${ONE}`]: row(activeImage, CHANGING),
  [`PUT ${ONE}/tags/{tag}`]: row(activeImage, CHANGING),
  [`DELETE ${ONE}/tags/{tag}`]: row(activeImage, CHANGING),
  [`GET ${ONE}/members`]: row(activeImage, KNOWING),
  [`POST ${ONE}/members`]: row(activeImage, '200 403 404 403 200 401', json({ member: 'x' })),
  [`GET ${ONE}/members/{memberId}`]: row(activeImage, KNOWING),
  [`PUT ${ONE}/members/{memberId}`]: row(activeImage, '403 403 404 200 200 401', json({ status: 'accepted' })),
  [`DELETE ${ONE}/members/{memberId}`]: row(activeImage, CHANGING),
  [`GET ${ONE}/locations`]: row(activeImage, OF_CACHED),
  // Whom the rule lets through is told that no store takes files.
  [`POST ${ONE}/locations`]: row(queuedImage, '400 403 404 403 400 401', json({ url: 'file:///etc/passwd' })),
  'DELETE /v2/stores/{storeId}/{imageId}': row(importedImage, '403 403 404 403 204 401'),
  [`PUT ${ONE}/file`]: row(queuedImage, CHANGING, () => ({ headers: OCTETS, body: disk })),
  [`GET ${ONE}/file`]: row(activeImage, '200 403 404 200 200 401'),
  [`PUT ${ONE}/stage`]: row(queuedImage, CHANGING, () => ({ headers: OCTETS, body: disk })),
  [`POST ${ONE}/import`]: row(stagedImage, '202 403 404 403 202 401', json({ method: { name: 'glance-direct' } })),
  [`GET ${ONE}/tasks`]: row(importedImage, KNOWING),
  [`POST ${ONE}/actions/inspect`]: row(activeImage, '200 200 404 403 200 401'),
  [`POST ${ONE}/actions/convert`]: row(activeImage, '202 403 404 403 202 401', json({ format: 'qcow2' })),
  [`POST ${ONE}/actions/deactivate`]: row(activeImage, CHANGING),
  [`POST ${ONE}/actions/reactivate`]: row(deactivatedImage, CHANGING),
  'GET /v2/tasks': row(importedImage, ADMINS),
  'POST /v2/tasks': row(
    nothing,
    '403 403 403 403 201 401',
    json({
      type: 'import',
      input: { import_from: 'http://127.0.0.1:80/x', import_from_format: 'raw', image_properties: {} },
    }),
  ),
  'GET /v2/tasks/{taskId}': row(importedImage, ADMINS),
  'GET /v2/tasks/{taskId}/events': row(importedImage, '200 200 404 404 200 401'),
  // It has ended: 409 is for those who may.
  'POST /v2/tasks/{taskId}/actions/cancel': row(importedImage, '409 403 404 404 409 401'),
  'GET /v2/cache': row(nothing, ADMINS),
  'DELETE /v2/cache': row(nothing, '403 403 403 403 204 401'),
  'PUT /v2/cache/{imageId}': row(activeImage, '403 403 404 403 202 401'),
  'DELETE /v2/cache/{imageId}': row(activeImage, '403 403 404 403 204 401'),
  'POST /v2/cache/clean': row(nothing, ADMINS),
  'POST /v2/cache/prune': row(nothing, ADMINS),
  'GET /v2/cache/nodes/{imageId}': row(activeImage, '403 403 404 403 409 401'),
  'GET /v2/cached_images': row(nothing, ADMINS),
  'DELETE /v2/cached_images': row(nothing, ADMINS),
  'DELETE /v2/cached_images/{imageId}': row(activeImage, OF_CACHED),
  'GET /v2/queued_images': row(nothing, ADMINS),
  'DELETE /v2/queued_images': row(nothing, ADMINS),
  'DELETE /v2/queued_images/{imageId}': row(activeImage, OF_CACHED),
  'PUT /v2/queued_images/{imageId}': row(activeImage, OF_CACHED),
  'GET /v2/metadefs/namespaces': row(privateNamespace, EVERYBODY),
  'POST /v2/metadefs/namespaces': row(nothing, '403 403 403 403 201 401', ({ namespace }) => ({ body: { namespace } })),
  [`GET ${SPACE}`]: row(privateNamespace, OWN_NAMESPACE),
  [`PUT ${SPACE}`]: row(privateNamespace, adminsOf(200), ({ namespace }) => ({ body: { namespace } })),
  [`DELETE ${SPACE}`]: row(privateNamespace, adminsOf(204)),
  ...Object.fromEntries(
    [
      ['objects', 'objectName', { name: 'o' }, { name: 'new' }],
      ['properties', 'propertyName', PROPERTY, { ...PROPERTY, name: 'new' }],
      ['tags', 'tagName', { name: 't' }, { tags: [{ name: 'new' }] }],
    ].flatMap(([kind, name, same, another]) => [
      [`GET ${SPACE}/${kind}`, row(privateNamespace, OWN_NAMESPACE)],
      [`POST ${SPACE}/${kind}`, row(privateNamespace, adminsOf(201), json(another))],
      [`DELETE ${SPACE}/${kind}`, row(privateNamespace, adminsOf(204))],
      [`GET ${SPACE}/${kind}/{${name}}`, row(privateNamespace, OWN_NAMESPACE)],
      [`PUT ${SPACE}/${kind}/{${name}}`, row(privateNamespace, adminsOf(200), json(same))],
      [`DELETE ${SPACE}/${kind}/{${name}}`, row(privateNamespace, adminsOf(204))],
    ]),
  ),
  [`POST ${SPACE}/tags/{tagName}`]: row(async () => ({ ...(await privateNamespace()), tagName: 'new' }), adminsOf(201)),
  'GET /v2/metadefs/resource_types': row(nothing, EVERYBODY),
  [`GET ${SPACE}/resource_types`]: row(privateNamespace, OWN_NAMESPACE),
  [`POST ${SPACE}/resource_types`]: row(privateNamespace, adminsOf(201), json({ name: 'S' })),
  [`DELETE ${SPACE}/resource_types/{resourceType}`]: row(privateNamespace, adminsOf(204)),
};

function as(name: CallerName): { readonly as?: string } {
  const caller = CALLERS[name];
  return caller === undefined ? {} : { as: caller };
}

function filled(url: string, filling: Filling): string {
  return url.replaceAll(/\{(\w+)\}/g, (_match, name: string) => filling[name] ?? 'missing');
}

test('every route is in the table', async () => {
  const { paths } = (await world.call('GET /openapi.json')).json as { readonly paths: Record<string, object> };
  const served = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(Object.keys(TABLE).toSorted()).toEqual(served.toSorted());
});

describe('every route, by who calls it', () => {
  test.each(Object.entries(TABLE))('%s', async (line, { of, answers, call }) => {
    const found: string[] = [];
    for (const name of NAMES) {
      const filling = await of();
      const answer = await world.call(filled(line, filling), { ...call?.(filling), ...as(name) });
      if (answer.status === 401) expect(answer.headers.get('www-authenticate')).toBe('Token realm="test"');
      found.push(`${name} ${answer.status}`);
    }
    expect(found).toEqual(answers.split(' ').map((status, index) => `${NAMES[index]} ${status}`));
  });
});

const READS = {
  [`GET ${ONE}`]: {
    public: EVERYBODY,
    community: EVERYBODY,
    shared: KNOWING,
    private: '200 200 404 404 200 401',
  },
  [`GET ${ONE}/file`]: {
    public: '200 403 200 200 200 401',
    community: '200 403 200 200 200 401',
    shared: '200 403 404 200 200 401',
    private: '200 403 404 404 200 401',
  },
  [`GET ${ONE}/tasks`]: {
    public: EVERYBODY,
    community: EVERYBODY,
    shared: KNOWING,
    private: '200 200 404 404 200 401',
  },
  // Only shared images have members.
  [`GET ${ONE}/members`]: {
    public: '403 403 403 403 403 401',
    community: '403 403 403 403 403 401',
    shared: KNOWING,
    private: '403 403 404 404 403 401',
  },
  [`GET ${ONE}/locations`]: {
    public: ADMINS,
    community: ADMINS,
    shared: OF_CACHED,
    private: '403 403 404 404 200 401',
  },
  [`POST ${ONE}/actions/inspect`]: {
    public: '200 200 403 403 200 401',
    community: '200 200 403 403 200 401',
    shared: '200 200 404 403 200 401',
    private: '200 200 404 404 200 401',
  },
} as const;

type Visibility = keyof (typeof READS)[keyof typeof READS];

async function imageThatIs(visibility: Visibility): Promise<Filling> {
  const filling = await activeImage();
  const body = JSON.stringify([{ op: 'replace', path: '/visibility', value: visibility }]);
  await ok(`PATCH /v2/images/${filling['imageId']}`, { ...ADMIN, headers: PATCH, body });
  return filling;
}

/** Whose lists have the image. */
async function listedFor(filling: Filling, query: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of NAMES.slice(0, 5)) {
    const { images } = await ok(`GET /v2/images?limit=1000${query}`, as(name));
    if ((images as readonly { id: string }[]).some(({ id }) => id === filling['imageId'])) names.push(name);
  }
  return names;
}

describe.each(['public', 'community', 'shared', 'private'] as const)('an image that is %s', (visibility) => {
  let filling: Filling;
  beforeAll(async () => {
    filling = await imageThatIs(visibility);
  });

  test.each(Object.entries(READS))('%s', async (line, answers) => {
    const found: string[] = [];
    for (const name of NAMES) found.push(`${name} ${(await world.call(filled(line, filling), as(name))).status}`);
    expect(found).toEqual(answers[visibility].split(' ').map((status, index) => `${NAMES[index]} ${status}`));
  });

  test('is listed for those whom it is for', async () => {
    const project = ['owner', 'reader'];
    const everybody = ['owner', 'reader', 'other', 'member', 'admin'];
    const usual = {
      public: everybody,
      community: project,
      shared: [...project, 'admin'],
      private: [...project, 'admin'],
    };
    expect(await listedFor(filling, '')).toEqual(usual[visibility]);
    const asked = { ...usual, community: everybody };
    expect(await listedFor(filling, `&visibility=${visibility}`)).toEqual(asked[visibility]);
    const withPending = { ...asked, shared: ['owner', 'reader', 'member', 'admin'] };
    expect(await listedFor(filling, `&visibility=${visibility}&member_status=all`)).toEqual(withPending[visibility]);
  });
});
