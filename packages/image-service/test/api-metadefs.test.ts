/** Metadata definitions over HTTP: who may do what, and what comes back. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';

const ADMIN = 'ops:admin';
const OWNER = 'p1:member';
const READER = 'p1:reader';
const OTHER = 'p2:member';
const NOBODY = 'p3:guest';
const ROOT = '/v2/metadefs/namespaces';

const LIMITS = { title: 'Limit', type: 'integer', minimum: 0, default: 4 };
const SIZES = { title: 'Sizes', type: 'array', items: { type: 'string', enum: ['small', 'large'] } };

let world: ApiWorld;
beforeAll(async () => {
  world = await makeApiWorld({ authenticator: HEADER_AUTHENTICATION });
});
afterAll(() => world.remove());

let count = 0;

/** Adds a namespace of the owner's project under a new name. */
async function addNamespace(body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const namespace = `NS::${++count}`;
  const { status, text } = await world.call(`POST ${ROOT}`, { as: ADMIN, body: { namespace, owner: 'p1', ...body } });
  expect(status, text).toBe(201);
  return namespace;
}

async function status(line: string, as: string, body?: unknown): Promise<number> {
  return (await world.call(line, { as, ...(body === undefined ? {} : { body }) })).status;
}

async function json(line: string, as: string = ADMIN): Promise<Record<string, unknown>> {
  return (await world.call(line, { as })).json;
}

describe('a namespace', () => {
  test('is added with all that is in it, and shown so', async () => {
    const added = await world.call(`POST ${ROOT}`, {
      as: ADMIN,
      body: {
        namespace: 'OS::Whole',
        display_name: 'Whole',
        description: 'With everything',
        visibility: 'public',
        protected: true,
        owner: 'p1',
        resource_type_associations: [{ name: 'OS::Nova::Flavor', prefix: 'hw:' }, { name: 'OS::Glance::Image' }],
        properties: { limit: LIMITS },
        objects: [{ name: 'group', description: 'Several', required: ['sizes'], properties: { sizes: SIZES } }],
        tags: [{ name: 'blue' }, { name: 'red' }],
      },
    });
    expect([added.status, added.headers.get('location')]).toEqual([201, `${world.url}${ROOT}/OS::Whole`]);
    const shown = await json(`GET ${ROOT}/OS%3A%3AWhole`, OTHER);
    expect(shown).toEqual(added.json);
    expect(shown).toMatchObject({
      namespace: 'OS::Whole',
      display_name: 'Whole',
      visibility: 'public',
      protected: true,
      owner: 'p1',
      self: `${ROOT}/OS::Whole`,
      schema: '/v2/schemas/metadefs/namespace',
      resource_type_associations: [{ name: 'OS::Glance::Image' }, { name: 'OS::Nova::Flavor', prefix: 'hw:' }],
      properties: { limit: LIMITS },
      objects: [{ name: 'group', required: ['sizes'], properties: { sizes: SIZES } }],
      tags: [{ name: 'blue' }, { name: 'red' }],
    });
    expect(shown['created_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test('names its properties as they are set on a resource', async () => {
    const onFlavor = await json(`GET ${ROOT}/OS::Whole?resource_type=OS::Nova::Flavor`, READER);
    expect(onFlavor['properties']).toEqual({ 'hw:limit': LIMITS });
    expect(onFlavor['objects']).toMatchObject([{ required: ['hw:sizes'], properties: { 'hw:sizes': SIZES } }]);
    expect((await json(`GET ${ROOT}/OS::Whole?resource_type=OS::Glance::Image`))['properties']).toEqual({
      limit: LIMITS,
    });
    const property = `${ROOT}/OS::Whole/properties`;
    expect(await json(`GET ${property}/hw:limit?resource_type=OS::Nova::Flavor`)).toEqual({ ...LIMITS, name: 'limit' });
    expect(await status(`GET ${property}/limit?resource_type=OS::Nova::Flavor`, ADMIN)).toBe(404);
    expect(await status(`GET ${property}/limit?resource_type=OS::No::Such`, ADMIN)).toBe(404);
  });

  test('that is protected lets go of nothing', async () => {
    const all = ['', '/objects', '/properties', '/tags'].map((part) => `DELETE ${ROOT}/OS::Whole${part}`);
    const single = ['objects/group', 'properties/limit', 'tags/blue', 'resource_types/OS::Nova::Flavor'];
    for (const line of [...all, ...single.map((part) => `DELETE ${ROOT}/OS::Whole/${part}`)]) {
      expect(await status(line, ADMIN), line).toBe(403);
    }
    expect(await status(`PUT ${ROOT}/OS::Whole`, ADMIN, { namespace: 'OS::Whole' })).toBe(200);
    expect(await json(`GET ${ROOT}/OS::Whole`)).toMatchObject({ protected: false, visibility: 'private', owner: 'p1' });
    for (const line of all.slice(1)) expect(await status(line, ADMIN), line).toBe(204);
    const left = await json(`GET ${ROOT}/OS::Whole`);
    expect([left['objects'], left['properties'], left['tags']]).toEqual([undefined, undefined, undefined]);
    expect(await status(`DELETE ${ROOT}/OS::Whole`, ADMIN)).toBe(204);
    expect(await status(`GET ${ROOT}/OS::Whole`, ADMIN)).toBe(404);
  });

  test('keeps what is in it under a new name, unless somebody has that', async () => {
    const name = await addNamespace({ tags: [{ name: 'kept' }] });
    const taken = await addNamespace();
    expect(await status(`PUT ${ROOT}/${name}`, ADMIN, { namespace: taken })).toBe(409);
    expect(await status(`PUT ${ROOT}/${name}`, ADMIN, { namespace: `${name}-new`, display_name: 'New' })).toBe(200);
    expect(await status(`GET ${ROOT}/${name}`, ADMIN)).toBe(404);
    expect(await json(`GET ${ROOT}/${name}-new`)).toMatchObject({ display_name: 'New', tags: [{ name: 'kept' }] });
  });

  test('can be sent back as it was read, without its own address and times', async () => {
    const body = { objects: [{ name: 'o' }], resource_type_associations: [{ name: 'R' }], tags: [{ name: 't' }] };
    const name = await addNamespace(body);
    const { self, schema, created_at, updated_at, ...rest } = await json(`GET ${ROOT}/${name}`);
    expect([self, schema, created_at, updated_at].every((value) => typeof value === 'string')).toBe(true);
    expect(await status(`PUT ${ROOT}/${name}`, ADMIN, rest)).toBe(200);
  });

  test.each([
    ['without a body', undefined, 400],
    ['that is no object', [], 400],
    ['without a name', { display_name: 'x' }, 400],
    ['with an empty name', { namespace: '' }, 400],
    ['with a long name', { namespace: 'n'.repeat(81) }, 400],
    ['with an unknown attribute', { namespace: 'x', colour: 'blue' }, 400],
    ['with an unknown visibility', { namespace: 'x', visibility: 'shared' }, 400],
    ['with a property that has no title', { namespace: 'x', properties: { p: { type: 'string' } } }, 400],
    ['with a property of no known type', { namespace: 'x', properties: { p: { title: 'p', type: 'date' } } }, 400],
    ['with the same tag twice', { namespace: 'x', tags: [{ name: 'a' }, { name: 'a' }] }, 409],
    ['that sets when it was made', { namespace: 'x', created_at: '2026-01-01T00:00:00Z' }, 403],
    ['that sets its address', { namespace: 'x', self: '/' }, 403],
  ])('%s is refused', async (_what, body, expected) => {
    expect(await status(`POST ${ROOT}`, ADMIN, body)).toBe(expected);
    expect(await status(`GET ${ROOT}/x`, ADMIN)).toBe(404);
  });

  test('exists once', async () => {
    const namespace = await addNamespace();
    expect(await status(`POST ${ROOT}`, ADMIN, { namespace })).toBe(409);
  });
});

describe('lists of namespaces', () => {
  let own: ApiWorld;
  beforeAll(async () => {
    own = await makeApiWorld({ authenticator: HEADER_AUTHENTICATION });
    for (const [namespace, more] of [
      ['c', { visibility: 'public', resource_type_associations: [{ name: 'R1' }] }],
      ['a', { resource_type_associations: [{ name: 'R1' }, { name: 'R2' }] }],
      ['b', { visibility: 'public', display_name: 'B' }],
      ['d', { owner: 'p2', resource_type_associations: [{ name: 'R2' }] }],
    ] as const) {
      await own.call(`POST ${ROOT}`, { as: ADMIN, body: { namespace, owner: 'p1', ...more } });
    }
  });
  afterAll(() => own.remove());

  async function names(query: string, as: string = ADMIN): Promise<string> {
    const answer = await own.call(`GET ${ROOT}?${query}`, { as });
    if (answer.status !== 200) return String(answer.status);
    return (answer.json['namespaces'] as { readonly namespace: string }[]).map(({ namespace }) => namespace).join(' ');
  }

  test.each([
    ['sort_key=namespace&sort_dir=asc', ADMIN, 'a b c d'],
    ['sort_key=namespace', ADMIN, 'd c b a'],
    ['sort_key=display_name&sort_dir=asc&limit=4', ADMIN, 'c a d b'],
    ['sort_key=created_at&sort_dir=asc', ADMIN, 'c a b d'],
    ['sort_key=namespace&sort_dir=asc', OWNER, 'a b c'],
    ['sort_key=namespace&sort_dir=asc', READER, 'a b c'],
    ['sort_key=namespace&sort_dir=asc', OTHER, 'b c d'],
    ['', NOBODY, '403'],
    ['sort_key=namespace&sort_dir=asc&visibility=private', OWNER, 'a'],
    ['sort_key=namespace&sort_dir=asc&resource_types=R1', ADMIN, 'a c'],
    ['sort_key=namespace&sort_dir=asc&resource_types=R1,R2', OTHER, 'c d'],
    ['resource_types=R9', ADMIN, ''],
    ['sort_key=namespace&sort_dir=asc&limit=2', ADMIN, 'a b'],
    ['sort_key=namespace&sort_dir=asc&limit=2&marker=b', ADMIN, 'c d'],
    ['limit=0', ADMIN, ''],
    ['marker=d', OWNER, '404'],
    ['marker=nothing', ADMIN, '404'],
    ['visibility=shared', ADMIN, '400'],
    ['sort_key=id', ADMIN, '400'],
    ['sort_dir=up', ADMIN, '400'],
    ['limit=-1', ADMIN, '400'],
    ['limit=x', ADMIN, '400'],
  ])('?%s as %s: %s', async (query, as, expected) => {
    expect(await names(query, as)).toBe(expected);
  });

  test('pages lead to each other', async () => {
    const seen: string[] = [];
    let next: unknown = `${ROOT}?limit=1&visibility=public`;
    while (typeof next === 'string') {
      const page: Record<string, unknown> = (await own.call(`GET ${next}`, { as: OTHER })).json;
      expect(page['first']).toBe(`${ROOT}?limit=1&visibility=public`);
      seen.push(...(page['namespaces'] as { readonly namespace: string }[]).map(({ namespace }) => namespace));
      next = page['next'];
    }
    expect(seen).toEqual(['b', 'c']);
  });

  test('name the resource types of each, and nothing else that is in it', async () => {
    const { json: page } = await own.call(`GET ${ROOT}?resource_types=R1&sort_key=namespace&sort_dir=asc`, {
      as: ADMIN,
    });
    expect(page['namespaces']).toMatchObject([
      { namespace: 'a', resource_type_associations: [{ name: 'R1' }, { name: 'R2' }] },
      { namespace: 'c', resource_type_associations: [{ name: 'R1' }] },
    ]);
  });
});

describe('objects', () => {
  test('are added, listed, changed and deleted', async () => {
    const name = await addNamespace();
    const all = `${ROOT}/${name}/objects`;
    const body = { name: 'one', description: 'First', required: ['limit'], properties: { limit: LIMITS } };
    const added = await world.call(`POST ${all}`, { as: ADMIN, body });
    expect(added.status).toBe(201);
    expect(added.json).toMatchObject({ ...body, self: `${all}/one`, schema: '/v2/schemas/metadefs/object' });
    expect(await status(`POST ${all}`, ADMIN, body)).toBe(409);
    expect(await status(`POST ${all}`, ADMIN, { name: 'two' })).toBe(201);
    expect(await status(`PUT ${all}/two`, ADMIN, { name: 'one' })).toBe(409);
    expect(await status(`PUT ${all}/two`, ADMIN, { name: 'second', properties: { s: SIZES } })).toBe(200);
    expect(await status(`GET ${all}/two`, ADMIN)).toBe(404);
    expect(await json(`GET ${all}/second`, READER)).toMatchObject({ name: 'second', properties: { s: SIZES } });
    const listed = await json(`GET ${all}?sort_key=name&sort_dir=asc&limit=1&marker=one`, OWNER);
    expect(listed).toMatchObject({ objects: [{ name: 'second' }], schema: '/v2/schemas/metadefs/objects' });
    expect(await status(`DELETE ${all}/one`, ADMIN)).toBe(204);
    expect(await status(`DELETE ${all}/one`, ADMIN)).toBe(404);
    expect(await status(`PUT ${all}/one`, ADMIN, { name: 'one' })).toBe(404);
    expect(await status(`DELETE ${all}`, ADMIN)).toBe(204);
    expect((await json(`GET ${all}`))['objects']).toEqual([]);
  });
});

describe('properties', () => {
  test('are added, listed, changed and deleted', async () => {
    const name = await addNamespace();
    const all = `${ROOT}/${name}/properties`;
    const added = await world.call(`POST ${all}`, { as: ADMIN, body: { name: 'limit', ...LIMITS } });
    expect([added.status, added.json]).toEqual([201, { name: 'limit', ...LIMITS }]);
    expect(await status(`POST ${all}`, ADMIN, { name: 'limit', ...LIMITS })).toBe(409);
    expect(await status(`POST ${all}`, ADMIN, LIMITS)).toBe(400);
    expect(await status(`POST ${all}`, ADMIN, { name: 'p', ...LIMITS, unit: 'GiB' })).toBe(400);
    expect(await status(`POST ${all}`, ADMIN, { name: 'sizes', ...SIZES })).toBe(201);
    expect(await status(`PUT ${all}/sizes`, ADMIN, { name: 'limit', ...SIZES })).toBe(409);
    expect(await status(`PUT ${all}/sizes`, ADMIN, { name: 'bounds', ...SIZES, title: 'Bounds' })).toBe(200);
    expect((await json(`GET ${all}`, READER))['properties']).toEqual({
      limit: LIMITS,
      bounds: { ...SIZES, title: 'Bounds' },
    });
    expect(await status(`DELETE ${all}/bounds`, ADMIN)).toBe(204);
    expect(await status(`GET ${all}/bounds`, ADMIN)).toBe(404);
    expect(await status(`DELETE ${all}`, ADMIN)).toBe(204);
    expect((await json(`GET ${all}`))['properties']).toEqual({});
  });
});

describe('tags', () => {
  test('are added one by one, renamed and deleted', async () => {
    const all = `${ROOT}/${await addNamespace()}/tags`;
    const added = await world.call(`POST ${all}/blue`, { as: ADMIN });
    expect([added.status, added.json['name']]).toEqual([201, 'blue']);
    expect(await status(`POST ${all}/blue`, ADMIN)).toBe(409);
    expect(await status(`POST ${all}/${'t'.repeat(81)}`, ADMIN)).toBe(400);
    expect(await status(`POST ${all}/red`, ADMIN)).toBe(201);
    expect(await status(`PUT ${all}/red`, ADMIN, { name: 'blue' })).toBe(409);
    expect(await status(`PUT ${all}/red`, ADMIN, { name: 'grün & co/1' })).toBe(200);
    const encoded = encodeURIComponent('grün & co/1');
    expect(await json(`GET ${all}/${encoded}`, READER)).toMatchObject({ name: 'grün & co/1' });
    expect(await status(`DELETE ${all}/${encoded}`, ADMIN)).toBe(204);
    expect(await status(`DELETE ${all}/${encoded}`, ADMIN)).toBe(404);
  });

  test('are added many at once, in the place of all or beside them', async () => {
    const all = `${ROOT}/${await addNamespace()}/tags`;
    const put = async (names: readonly string[], append?: string): Promise<number> => {
      const headers = append === undefined ? {} : { 'x-openstack-append': append };
      const tags = names.map((name) => ({ name }));
      return (await world.call(`POST ${all}`, { as: ADMIN, body: { tags }, headers })).status;
    };
    const listed = async (query: string = '?sort_key=name&sort_dir=asc'): Promise<unknown> =>
      ((await json(`GET ${all}${query}`, READER))['tags'] as { readonly name: string }[]).map(({ name }) => name);
    expect(await put(['a', 'b'])).toBe(201);
    expect(await put(['c', 'd'])).toBe(201);
    expect(await listed()).toEqual(['c', 'd']);
    expect(await put(['e'], 'True')).toBe(201);
    expect(await put(['f', 'e'], 'True')).toBe(409);
    expect(await put(['x', 'x'])).toBe(409);
    expect(await put([])).toBe(201);
    expect(await listed()).toEqual(['c', 'd', 'e']);
    expect(await listed('?sort_key=name&sort_dir=desc&limit=1&marker=e')).toEqual(['d']);
    expect(await status(`GET ${all}?marker=nothing`, ADMIN)).toBe(404);
    expect(await status(`DELETE ${all}`, ADMIN)).toBe(204);
    expect(await listed()).toEqual([]);
  });
});

describe('resource types', () => {
  test('are bound to namespaces and stay known', async () => {
    const all = `${ROOT}/${await addNamespace()}/resource_types`;
    const body = { name: 'OS::Cinder::Volume', prefix: 'v_', properties_target: 'image' };
    const bound = await world.call(`POST ${all}`, { as: ADMIN, body });
    expect([bound.status, bound.json]).toMatchObject([201, body]);
    expect(await status(`POST ${all}`, ADMIN, body)).toBe(409);
    expect(await status(`POST ${all}`, ADMIN, { prefix: 'x' })).toBe(400);
    expect((await json(`GET ${all}`, READER))['resource_type_associations']).toMatchObject([body]);
    expect(await status(`DELETE ${all}/OS::Cinder::Volume`, ADMIN)).toBe(204);
    expect(await status(`DELETE ${all}/OS::Cinder::Volume`, ADMIN)).toBe(404);
    const known = (await json('GET /v2/metadefs/resource_types', READER))['resource_types'];
    expect(known).toContainEqual(expect.objectContaining({ name: 'OS::Cinder::Volume' }));
    expect(await status('GET /v2/metadefs/resource_types', NOBODY)).toBe(403);
  });
});

describe('who may do what', () => {
  const content = {
    properties: { p: LIMITS },
    objects: [{ name: 'o' }],
    tags: [{ name: 't' }],
    resource_type_associations: [{ name: 'R' }],
  };
  const reads = ['', '/objects', '/objects/o', '/properties', '/properties/p', '/tags', '/tags/t', '/resource_types'];
  const writes: readonly [line: string, body?: unknown][] = [
    ['PUT ', { namespace: 'renamed' }],
    ['POST /objects', { name: 'new' }],
    ['PUT /objects/o', { name: 'o' }],
    ['DELETE /objects/o'],
    ['DELETE /objects'],
    ['POST /properties', { name: 'new', ...LIMITS }],
    ['PUT /properties/p', { name: 'p', ...LIMITS }],
    ['DELETE /properties/p'],
    ['DELETE /properties'],
    ['POST /tags', { tags: [{ name: 'new' }] }],
    ['POST /tags/new'],
    ['PUT /tags/t', { name: 't' }],
    ['DELETE /tags/t'],
    ['DELETE /tags'],
    ['POST /resource_types', { name: 'S' }],
    ['DELETE /resource_types/R'],
    ['DELETE '],
  ];

  test.each([
    ['private', ADMIN, 200],
    ['private', OWNER, 200],
    ['private', READER, 200],
    ['private', OTHER, 404],
    ['private', NOBODY, 404],
    ['public', OTHER, 200],
    ['public', NOBODY, 404],
  ])('what is %s is read by %s: %i', async (visibility, as, expected) => {
    const name = await addNamespace({ visibility, ...content });
    for (const part of reads) expect(await status(`GET ${ROOT}/${name}${part}`, as), part).toBe(expected);
  });

  test.each([
    ['private', OWNER, 403],
    ['private', OTHER, 404],
    ['public', OTHER, 403],
    ['public', NOBODY, 404],
  ])('what is %s is written by %s: %i', async (visibility, as, expected) => {
    const name = await addNamespace({ visibility, ...content });
    for (const [line, body] of writes) {
      const [method = '', part = ''] = line.split(' ');
      expect(await status(`${method} ${ROOT}/${name}${part}`, as, body), line).toBe(expected);
    }
    expect(await json(`GET ${ROOT}/${name}`)).toMatchObject({ objects: [{ name: 'o' }], tags: [{ name: 't' }] });
  });

  test('only administrators add namespaces', async () => {
    for (const as of [OWNER, READER, NOBODY]) {
      expect(await status(`POST ${ROOT}`, as, { namespace: 'mine' }), as).toBe(403);
    }
  });
});

describe('where a policy lets members write for their project', () => {
  let own: ApiWorld;
  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'diskmorph-metadefs-'));
    const policy = join(directory, 'policy.yaml');
    await writeFile(policy, 'metadef_admin: "role:admin or (role:member and project_id:%(project_id)s)"');
    own = await makeApiWorld({
      authenticator: HEADER_AUTHENTICATION,
      overrides: { 'oslo_policy.policy_file': policy },
    });
    await rm(directory, { recursive: true });
    await own.call(`POST ${ROOT}`, { as: ADMIN, body: { namespace: 'theirs', visibility: 'public', owner: 'p2' } });
  });
  afterAll(() => own.remove());

  test.each([
    ['add one', 'POST ', { namespace: 'mine', tags: [{ name: 't' }] }, 201],
    ['add one for another project', 'POST ', { namespace: 'gift', owner: 'p2' }, 403],
    ['change their own', 'PUT /mine', { namespace: 'mine', display_name: 'Mine' }, 200],
    ['give it away', 'PUT /mine', { namespace: 'mine', owner: 'p2' }, 403],
    ['take that of another project', 'PUT /theirs', { namespace: 'theirs', owner: 'p1' }, 403],
    ['add to that of another project', 'POST /theirs/tags/x', undefined, 403],
    ['add to their own', 'POST /mine/tags/x', undefined, 201],
    ['delete their own', 'DELETE /mine', undefined, 204],
  ])('they may or may not %s', async (_what, line, body, expected) => {
    const [method, part] = line.split(' ');
    const more = body === undefined ? {} : { body };
    expect((await own.call(`${method} ${ROOT}${part}`, { as: OWNER, ...more })).status).toBe(expected);
  });
});

test('every schema is served', async () => {
  for (const name of ['namespace', 'object', 'property', 'tag', 'resource_type']) {
    const plural = name === 'property' ? 'properties' : `${name}s`;
    expect(Object.keys((await json(`GET /v2/schemas/metadefs/${name}`))['properties'] as object)).toContain(
      name === 'namespace' ? 'namespace' : 'name',
    );
    const list = await json(`GET /v2/schemas/metadefs/${plural}`);
    expect(list['name']).toBe(name === 'resource_type' ? 'resource_type_associations' : plural);
  }
});
