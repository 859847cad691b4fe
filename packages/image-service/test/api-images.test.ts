import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';

let world: ApiWorld;
beforeAll(async () => {
  world = await makeApiWorld({ authenticator: HEADER_AUTHENTICATION });
});
afterAll(() => world.remove());

const V21 = 'application/openstack-images-v2.1-json-patch';
const V20 = 'application/openstack-images-v2.0-json-patch';

async function create(body: Record<string, unknown> = {}, as = 'p:member'): Promise<string> {
  const answer = await world.call('POST /v2/images', { body, as });
  expect(answer.status, answer.text).toBe(201);
  return String(answer.json['id']);
}

function patch(id: string, body: unknown, as = 'p:member', type = V21): Promise<Answer> {
  return world.call(`PATCH /v2/images/${id}`, { body: JSON.stringify(body), as, headers: { 'content-type': type } });
}

async function names(query: string, as = 'p:member'): Promise<string> {
  const answer = await world.call(`GET /v2/images?${query}`, { as });
  expect(answer.status, answer.text).toBe(200);
  return (answer.json['images'] as { readonly name: string }[]).map((image) => image.name).join(' ');
}

describe('what every answer has', () => {
  test('the versions are found at three places', async () => {
    for (const [line, status] of [
      ['GET /', 300],
      ['GET /versions', 200],
      ['GET /v2/', 300],
    ] as const) {
      const answer = await world.call(line);
      expect(answer.status).toBe(status);
      const [first] = answer.json['versions'] as { readonly id: string; readonly status: string; links: unknown }[];
      expect(first).toEqual({ id: 'v2.17', status: 'CURRENT', links: [{ rel: 'self', href: `${world.url}/v2/` }] });
    }
  });

  test('the id of the call is given back, or a new one', async () => {
    const given = await world.call('GET /versions', { headers: { 'x-openstack-request-id': 'req-1' } });
    expect(given.headers.get('x-openstack-request-id')).toBe('req-1');
    const odd = await world.call('GET /versions', { headers: { 'x-openstack-request-id': 'a b' } });
    expect(odd.headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/);
  });

  test('it is healthy', async () => {
    expect(await world.call('GET /healthcheck')).toMatchObject({ status: 200, text: 'OK' });
    expect((await world.call('HEAD /healthcheck')).status).toBe(204);
  });

  test('errors are HTML, or JSON for those who ask for it', async () => {
    const html = await world.call('GET /v2/images/none', { as: 'p:member' });
    expect(html.status).toBe(404);
    expect(html.text).toContain('<title>404 Not Found</title>');
    expect(html.text).toContain('No image found with ID none');
    const json = await world.call('GET /v2/images/none', { as: 'p:member', headers: { accept: 'application/json' } });
    expect(json.json).toEqual({ code: '404 Not Found', title: 'Not Found', message: 'No image found with ID none' });
  });

  test('a wrong method is told which are right', async () => {
    const answer = await world.call('DELETE /v2/images', { as: 'p:member' });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'POST']);
    expect((await world.call('GET /v3/nothing')).status).toBe(404);
  });
});

describe('creation', () => {
  test('gives the whole document, and says where it is', async () => {
    const body = { name: 'n', disk_format: 'raw', container_format: 'bare', tags: ['b', 'a'], min_disk: 3, os: 'x' };
    const answer = await world.call('POST /v2/images', { body, as: 'p:member' });
    expect(answer.status).toBe(201);
    const id = String(answer.json['id']);
    expect(answer.headers.get('location')).toBe(`${world.url}/v2/images/${id}`);
    expect(answer.headers.get('openstack-image-store-ids')).toBe('a,b');
    expect(answer.json).toMatchObject({
      ...body,
      tags: ['a', 'b'],
      status: 'queued',
      visibility: 'shared',
      owner: 'p',
      protected: false,
      os_hidden: false,
      size: null,
      checksum: null,
      self: `/v2/images/${id}`,
      file: `/v2/images/${id}/file`,
      schema: '/v2/schemas/image',
    });
    expect((await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).json).toEqual(answer.json);
  });

  const refused: readonly [what: string, body: unknown, status: number, says: RegExp][] = [
    ['a status', { status: 'active' }, 403, /read-only/],
    ['a reserved property', { os_glance_import_task: 'x' }, 403, /reserved/],
    ['an unknown disk format', { disk_format: 'floppy' }, 400, /disk_format/],
    ['a property that is no text', { a: 1 }, 400, /does not match schema 'image'/],
    ['a negative size of memory', { min_ram: -1 }, 400, /min_ram/],
    ['an id that is none', { id: 'x' }, 400, /id/],
    ['a name that is too long', { name: 'x'.repeat(256) }, 400, /name/],
    ['too many tags', { tags: Array.from({ length: 129 }, (_, n) => `t${n}`) }, 413, /tags/],
    ['an owner that is somebody else', { owner: 'q' }, 403, /owned by/],
    ['an image for everybody', { visibility: 'public' }, 403, /publicize_image/],
    ['no object', [], 400, /JSON object/],
  ];
  test.each(refused)('%s is refused', async (_what, body, status, says) => {
    const answer = await world.call('POST /v2/images', { body, as: 'p:member' });
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(says);
  });

  test('an id is given once', async () => {
    const id = 'aaaaaaaa-0000-4000-8000-000000000001';
    expect(await create({ id })).toBe(id);
    expect((await world.call('POST /v2/images', { body: { id }, as: 'p:member' })).status).toBe(409);
  });

  test('text that is no JSON is refused', async () => {
    const call = { body: '{', as: 'p:member', headers: { 'content-type': 'application/json' } };
    expect((await world.call('POST /v2/images', call)).status).toBe(400);
  });
});

describe('changes', () => {
  test('in both media types', async () => {
    const id = await create({ name: 'old', os: 'x', tags: ['t'] });
    const changes = [
      { op: 'replace', path: '/name', value: 'new' },
      { op: 'add', path: '/a~1b', value: 'slash' },
      { op: 'remove', path: '/os' },
      { op: 'replace', path: '/tags', value: ['u'] },
    ];
    const answer = await patch(id, changes);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toMatchObject({ name: 'new', 'a/b': 'slash', tags: ['u'] });
    expect(answer.json).not.toHaveProperty('os');
    expect((await patch(id, [{ replace: '/name', value: 'newer' }], 'p:member', V20)).json).toMatchObject({
      name: 'newer',
    });
  });

  test('another media type is told the right ones', async () => {
    const answer = await patch(await create(), [], 'p:member', 'application/json');
    expect(answer.status).toBe(415);
    expect(answer.headers.get('accept-patch')).toContain(V21);
    expect((await patch(await create(), [], 'p:member', 'text/plain')).status).toBe(415);
  });

  const refused: readonly [what: string, operation: unknown, status: number][] = [
    ['a status', { op: 'replace', path: '/status', value: 'active' }, 403],
    ['an id', { op: 'replace', path: '/id', value: 'x' }, 403],
    ['a reserved property', { op: 'add', path: '/os_glance_x', value: 'x' }, 403],
    ['a property that is not there', { op: 'replace', path: '/none', value: 'x' }, 409],
    ['its removal', { op: 'remove', path: '/none' }, 409],
    ['the removal of a name', { op: 'remove', path: '/name' }, 403],
    ['a property that is no text', { op: 'add', path: '/p', value: 1 }, 400],
    ['a disk format that is none', { op: 'replace', path: '/disk_format', value: 'floppy' }, 400],
    ['an operation that is none', { op: 'move', path: '/name', from: '/p' }, 400],
    ['a path without a slash', { op: 'add', path: 'name', value: 'x' }, 400],
    ['a path into a property', { op: 'add', path: '/name/x', value: 'x' }, 400],
    ['an operation without a value', { op: 'add', path: '/name' }, 400],
    ['locations', { op: 'add', path: '/locations/-', value: {} }, 403],
    ['another owner', { op: 'replace', path: '/owner', value: 'q' }, 403],
    ['visibility for everybody', { op: 'replace', path: '/visibility', value: 'public' }, 403],
  ];
  test.each(refused)('%s is refused', async (_what, operation, status) => {
    const id = await create({ name: 'n' });
    const before = await world.call(`GET /v2/images/${id}`, { as: 'p:member' });
    const answer = await patch(id, [{ op: 'replace', path: '/name', value: 'changed' }, operation]);
    expect(answer.status, answer.text).toBe(status);
    expect((await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).json).toEqual(before.json);
  });

  test('two at the same time are both kept', async () => {
    const id = await create();
    const changes = Array.from({ length: 8 }, (_, n) => patch(id, [{ op: 'add', path: `/p${n}`, value: 'x' }]));
    for (const answer of await Promise.all(changes)) expect(answer.status).toBe(200);
    const { json } = await world.call(`GET /v2/images/${id}`, { as: 'p:member' });
    expect(Object.keys(json).filter((name) => /^p\d$/.test(name)).length).toBe(8);
  });
});

describe('deletion', () => {
  test('ends an image once', async () => {
    const id = await create();
    expect((await world.call(`DELETE /v2/images/${id}`, { as: 'p:member' })).status).toBe(204);
    expect((await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).status).toBe(404);
    expect((await world.call(`DELETE /v2/images/${id}`, { as: 'p:member' })).status).toBe(404);
  });

  test('a protected image stays', async () => {
    const id = await create({ protected: true });
    expect((await world.call(`DELETE /v2/images/${id}`, { as: 'p:member' })).status).toBe(403);
    await patch(id, [{ op: 'replace', path: '/protected', value: false }]);
    expect((await world.call(`DELETE /v2/images/${id}`, { as: 'p:member' })).status).toBe(204);
  });
});

describe('lists', () => {
  beforeAll(async () => {
    await create({ name: 'l1', list: 'x', tags: ['red'], min_ram: 1, disk_format: 'raw' }, 'l:member');
    await create({ name: 'l2', list: 'x', tags: ['red', 'blue'], min_ram: 2, disk_format: 'iso' }, 'l:member');
    await create({ name: 'l3, or so', list: 'y', min_ram: 2, protected: true }, 'l:member');
    await create({ name: 'l4', os_hidden: true }, 'l:member');
  });

  const cases: readonly [query: string, names: string][] = [
    ['', 'l3, or so l2 l1'],
    ['sort=name:asc', 'l1 l2 l3, or so'],
    ['sort=disk_format:asc,name:desc', 'l3, or so l2 l1'],
    ['sort_key=name&sort_dir=desc', 'l3, or so l2 l1'],
    ['name=l2', 'l2'],
    ['name=in:l1,%22l3, or so%22', 'l3, or so l1'],
    ['disk_format=in:raw,iso&sort=name:asc', 'l1 l2'],
    ['list=x', 'l2 l1'],
    ['tag=red', 'l2 l1'],
    ['tag=red&tag=blue', 'l2'],
    ['min_ram=gte:2', 'l3, or so l2'],
    ['min_ram=neq:2', 'l1'],
    ['protected=true', 'l3, or so'],
    ['os_hidden=true', 'l4'],
    ['os_hidden=True', 'l4'],
    ['status=active', ''],
    ['created_at=gt:2020-01-01T00:00:00Z&name=l1', 'l1'],
    ['created_at=lt:2020-01-01T00:00:00Z', ''],
    ['owner=l', 'l3, or so l2 l1'],
    ['visibility=private', ''],
  ];
  test.each(cases)('?%s', async (query, expected) => {
    expect(await names(query, 'l:member')).toBe(expected);
  });

  const refused = [
    'limit=x',
    'limit=-1',
    'marker=none',
    'sort=min_disk',
    'sort=name:up',
    'sort=name&sort_key=id',
    'visibility=secret',
    'member_status=maybe',
    'protected=yes',
    'created_at=yesterday',
    'size_min=big',
    'name=in:%22a',
  ];
  test.each(refused)('?%s is refused', async (query) => {
    expect((await world.call(`GET /v2/images?${query}`, { as: 'l:member' })).status).toBe(400);
  });

  test('pages link to the next', async () => {
    const seen: string[] = [];
    for (let url: unknown = '/v2/images?limit=1&sort=name:asc'; typeof url === 'string';) {
      const { json } = await world.call(`GET ${url}`, { as: 'l:member' });
      seen.push(...(json['images'] as { readonly name: string }[]).map((image) => image.name));
      expect(json).toMatchObject({ first: '/v2/images?limit=1&sort=name%3Aasc', schema: '/v2/schemas/images' });
      url = json['next'];
    }
    expect(seen).toEqual(['l1', 'l2', 'l3, or so']);
  });
});

describe('tags', () => {
  test('come and go one by one', async () => {
    const id = await create();
    expect((await world.call(`PUT /v2/images/${id}/tags/a%2Fb`, { as: 'p:member' })).status).toBe(204);
    expect((await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).json).toMatchObject({ tags: ['a/b'] });
    expect((await world.call(`DELETE /v2/images/${id}/tags/a%2Fb`, { as: 'p:member' })).status).toBe(204);
    expect((await world.call(`DELETE /v2/images/${id}/tags/a%2Fb`, { as: 'p:member' })).status).toBe(404);
  });
});

describe('members', () => {
  test('see a shared image, and find it in their lists once they accepted', async () => {
    const id = await create({ name: 'shared-one' });
    const all = `/v2/images/${id}/members`;
    expect((await world.call(`GET /v2/images/${id}`, { as: 'm:member' })).status).toBe(404);
    const added = await world.call(`POST ${all}`, { body: { member: 'm' }, as: 'p:member' });
    expect(added.json).toMatchObject({ member_id: 'm', image_id: id, status: 'pending', schema: '/v2/schemas/member' });
    expect((await world.call(`POST ${all}`, { body: { member: 'm' }, as: 'p:member' })).status).toBe(409);
    expect((await world.call(`GET /v2/images/${id}`, { as: 'm:member' })).status).toBe(200);
    expect(await names('name=shared-one', 'm:member')).toBe('');
    expect(await names('name=shared-one&member_status=pending&visibility=shared', 'm:member')).toBe('shared-one');
    expect((await world.call(`PUT ${all}/m`, { body: { status: 'accepted' }, as: 'p:member' })).status).toBe(403);
    const accepted = await world.call(`PUT ${all}/m`, { body: { status: 'accepted' }, as: 'm:member' });
    expect(accepted.json).toMatchObject({ status: 'accepted' });
    expect(await names('name=shared-one', 'm:member')).toBe('shared-one');
    expect((await world.call(`GET ${all}`, { as: 'm:member' })).json['members']).toHaveLength(1);
    expect((await world.call(`DELETE ${all}/m`, { as: 'm:member' })).status).toBe(403);
    expect((await world.call(`DELETE ${all}/m`, { as: 'p:member' })).status).toBe(204);
    expect((await world.call(`GET ${all}/m`, { as: 'p:member' })).status).toBe(404);
  });

  test('only shared images have them', async () => {
    const id = await create({ visibility: 'private' });
    const answer = await world.call(`POST /v2/images/${id}/members`, { body: { member: 'm' }, as: 'p:member' });
    expect(answer.status).toBe(403);
  });
});

describe('who may do what to an image of another project', () => {
  const lines: readonly [line: string, call: Record<string, unknown>][] = [
    ['GET /v2/images/ID', {}],
    ['PATCH /v2/images/ID', { body: '[]', headers: { 'content-type': V21 } }],
    ['DELETE /v2/images/ID', {}],
    ['PUT /v2/images/ID/tags/t', {}],
    ['GET /v2/images/ID/members', {}],
    ['POST /v2/images/ID/members', { body: { member: 'm' } }],
  ];
  test.each(lines)('%s: it is not there for strangers', async (line, call) => {
    const id = await create();
    expect((await world.call(line.replace('ID', id), { ...call, as: 'stranger:member' })).status).toBe(404);
    expect((await world.call(line.replace('ID', id), { ...call, as: ':' })).status).toBe(404);
  });
  test.each(lines.slice(1, 4))('%s: a public one is not theirs to change', async (line, call) => {
    const id = await create({ visibility: 'public' }, 'p:admin');
    expect((await world.call(line.replace('ID', id), { ...call, as: 'stranger:member' })).status).toBe(403);
  });
});

test('schemas are served', async () => {
  for (const name of ['image', 'images', 'member', 'members', 'task', 'tasks']) {
    const answer = await world.call(`GET /v2/schemas/${name}`, { as: 'p:member' });
    expect(answer.json).toMatchObject({ name });
  }
});
