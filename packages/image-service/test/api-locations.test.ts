import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { makePlaceWorld, patched, RAW, registered, uploaded } from './place-world.ts';
import { runClient } from './run-client.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';
import { diskBytes, qemuImg } from './world.ts';

const PATCH = { 'content-type': 'application/openstack-images-v2.1-json-patch' };
const OCTETS = { 'content-type': 'application/octet-stream' };

let world: ApiWorld;
let web: WebFiles;
const disk = diskBytes();
const digest = createHash('sha512').update(disk).digest('hex');

beforeEach(async () => {
  web = await startWebFiles();
  web.files.set('/disk', disk).set('/copy', disk);
});
afterEach(async () => {
  await world.remove();
  await web.close();
});

async function serve(overrides: Readonly<Record<string, string>> = {}): Promise<void> {
  world = await makePlaceWorld({ overrides });
}

const VISIBLE = { 'DEFAULT.show_multiple_locations': 'true', 'DEFAULT.show_image_direct_url': 'true' };

function register(body: object = RAW, as: string = 'p:member'): Promise<string> {
  return registered(world, as, body);
}

function upload(as: string = 'p:member'): Promise<string> {
  return uploaded(world, as, disk);
}

function patch(id: string, operations: readonly object[], as: string = 'p:member'): Promise<Answer> {
  return patched(world, id, { as, operations });
}

async function show(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: 'p:member' })).json;
}

const urls = (answer: Answer): unknown => (answer.json['locations'] as { url: string }[]).map(({ url }) => url);

const add = (id: string, body: object, as: string = 'p:member'): Promise<Answer> =>
  world.call(`POST /v2/images/${id}/locations`, { as, body });

const place = (path: string, metadata: object = {}): object => ({ url: `${web.url}${path}`, metadata });

async function taskEnd(id: string): Promise<Record<string, unknown>> {
  const [task] = (await world.call(`GET /v2/images/${id}/tasks`, { as: 'p:member' })).json['tasks'] as { id: string }[];
  const all = { as: 'ops:admin' };
  await world.call(`GET /v2/tasks/${task?.id}/events`, all);
  return (await world.call(`GET /v2/tasks/${task?.id}`, all)).json;
}

describe('POST /v2/images/ID/locations', () => {
  test('the image is active at once; its digests come after it has been read', async () => {
    await serve();
    const id = await register();
    const added = await add(id, { url: `${web.url}/disk` });
    expect([added.status, added.json]).toEqual([202, { url: `${web.url}/disk`, metadata: { store: 'web' } }]);
    expect(await show(id)).toMatchObject({
      status: 'active',
      size: disk.length,
      os_hash_algo: 'sha512',
      stores: 'web',
    });
    expect(await taskEnd(id)).toMatchObject({ type: 'location_import', status: 'success', result: { image_id: id } });
    expect(await show(id)).toMatchObject({
      os_hash_value: digest,
      checksum: createHash('md5').update(disk).digest('hex'),
      virtual_size: disk.length,
    });
    const data = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': 'p:member' } });
    expect(Buffer.from(await data.arrayBuffer()).equals(disk)).toBe(true);
  });

  test('with the right digest it becomes active when it has been read', async () => {
    await serve();
    const id = await register();
    const validation = { os_hash_algo: 'sha512', os_hash_value: digest };
    const added = await add(id, { url: `${web.url}/disk`, validation_data: validation });
    expect(added.json['validation_data']).toEqual(validation);
    expect(await taskEnd(id)).toMatchObject({ status: 'success' });
    expect(await show(id)).toMatchObject({ status: 'active', os_hash_value: digest });
  });

  test('with a wrong digest it is queued again, and has no location', async () => {
    await serve();
    const id = await register();
    const validation = { os_hash_algo: 'sha512', os_hash_value: '0'.repeat(128) };
    expect((await add(id, { url: `${web.url}/disk`, validation_data: validation })).status).toBe(202);
    expect(await taskEnd(id)).toMatchObject({ status: 'failure', error_code: 'hash_mismatch' });
    expect(await show(id)).toMatchObject({ status: 'queued', size: null });
    expect((await add(id, { url: `${web.url}/disk` })).status).toBe(202);
    await taskEnd(id);
  });

  test('what changed while it was read gets no digest', async () => {
    await serve();
    const id = await register();
    const asked = Promise.withResolvers<void>();
    const hold = Promise.withResolvers<void>();
    web.before = async ({ headers }) => {
      if (headers.range !== undefined) return;
      asked.resolve();
      await hold.promise;
    };
    expect((await add(id, { url: `${web.url}/disk` })).status).toBe(202);
    await asked.promise;
    web.files.set('/disk', disk.subarray(1));
    hold.resolve();
    expect(await taskEnd(id)).toMatchObject({ status: 'failure', error_code: 'gone' });
    const shown = await show(id);
    expect([shown['status'], shown['os_hash_algo'], shown['os_hash_value']]).toEqual(['active', null, null]);
  });

  test.each(['with', 'without'])(
    'a service that stops while it reads goes on afterwards, %s digests to hold it against',
    async (how) => {
      await serve();
      const id = await register();
      const asked = Promise.withResolvers<void>();
      const hold = Promise.withResolvers<void>();
      web.before = async ({ headers }) => {
        if (headers.range !== undefined) return;
        asked.resolve();
        await hold.promise;
      };
      const validation = how === 'with' ? { validation_data: { os_hash_algo: 'sha512', os_hash_value: digest } } : {};
      expect((await add(id, { url: `${web.url}/disk`, ...validation })).status).toBe(202);
      await asked.promise;
      const restarted = world.restart();
      hold.resolve();
      await restarted;
      expect(await taskEnd(id)).toMatchObject({ status: 'success' });
      expect(await show(id)).toMatchObject({ status: 'active', os_hash_value: digest });
    },
  );

  test('without do_secure_hash what the caller says is kept, and nothing is read', async () => {
    await serve({ 'DEFAULT.do_secure_hash': 'false' });
    const [told, silent] = [await register(), await register()];
    const validation = { os_hash_algo: 'sha512', os_hash_value: 'AB'.repeat(64) };
    expect((await add(told, { url: `${web.url}/disk`, validation_data: validation })).status).toBe(202);
    expect((await add(silent, { url: `${web.url}/disk` })).status).toBe(202);
    expect(await show(told)).toMatchObject({ status: 'active', os_hash_value: 'ab'.repeat(64) });
    expect(await show(silent)).toMatchObject({ status: 'active', os_hash_algo: null, os_hash_value: null });
    expect((await world.call(`GET /v2/images/${told}/tasks`, { as: 'p:member' })).json['tasks']).toEqual([]);
  });

  test.each([
    { what: 'a file of the service', url: 'file:///etc/passwd', says: 'Invalid location' },
    { what: 'a scheme of no store', url: 'rbd://pool/image', says: 'Invalid location' },
    { what: 'credentials in the address', url: 'http://u:p@127.0.0.1/x', says: 'Invalid location' },
    { what: 'a private address that is not listed', url: 'http://127.0.0.2/x', says: 'cannot be used' },
    { what: 'nothing there', url: '/missing', says: 'cannot be used' },
    { what: 'another format than declared', url: '/qcow2', says: 'mismatch' },
    { what: 'an unknown store', url: '/disk', metadata: { store: 'z' }, says: 'store that is not there' },
    { what: 'a store that takes no URLs', url: '/disk', metadata: { store: 'a' }, says: 'Invalid location' },
    { what: 'another algorithm', url: '/disk', validation_data: { os_hash_algo: 'md5' }, says: 'must be sha512' },
    {
      what: 'no digest',
      url: '/disk',
      validation_data: { os_hash_algo: 'sha512', os_hash_value: 'x' },
      says: 'a SHA-512 in hex',
    },
    { what: 'no URL', says: 'needs a' },
  ])('refused with 400: $what', async ({ url, says, what: _what, ...body }) => {
    await serve();
    await qemuImg('create', '-f', 'qcow2', world.path('q.qcow2'), '1M');
    web.files.set('/qcow2', await readFile(world.path('q.qcow2')));
    const id = await register();
    const whole = url?.startsWith('/') === true ? `${web.url}${url}` : url;
    const refused = await add(id, { ...body, ...(whole === undefined ? {} : { url: whole }) });
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining(says)]);
    expect(await show(id)).toMatchObject({ status: 'queued' });
  });

  test('without a store of web addresses none is taken', async () => {
    await serve({ 'DEFAULT.enabled_backends': 'a:file, b:file' });
    expect((await add(await register(), { url: `${web.url}/disk` })).status).toBe(400);
  });

  test('only for an image without data, by its owner or a service; others do not know of it', async () => {
    await serve();
    const full = await upload();
    expect((await add(full, { url: `${web.url}/disk` })).status).toBe(409);
    const id = await register({ ...RAW, visibility: 'private' });
    const body = { url: `${web.url}/disk` };
    expect((await add(id, body, 'q:member')).status).toBe(404);
    expect((await add(id, body, 'p:reader')).status).toBe(403);
    expect((await add(id, body, 'ops:admin')).status).toBe(202);
    await taskEnd(id);
    expect((await add(await register({}), body)).status).toBe(400);
  });

  test('GET lists them for services alone', async () => {
    await serve();
    const id = await upload();
    const list = (as: string): Promise<Answer> => world.call(`GET /v2/images/${id}/locations`, { as });
    expect((await list('p:member')).status).toBe(403);
    expect((await list('q:member')).status).toBe(404);
    const listed = await list('ops:admin');
    const [place] = JSON.parse(listed.text) as { url: string; metadata: object }[];
    expect(place?.metadata).toEqual({ store: 'a' });
    expect((await stat(fileURLToPath(place?.url ?? ''))).size).toBe(disk.length);
  });
});

describe('what is shown of places', () => {
  test('nothing, unless configured', async () => {
    await serve();
    const shown = await show(await upload());
    expect(['locations' in shown, 'direct_url' in shown]).toEqual([false, false]);
  });

  test('locations and direct_url to whom get_image_location lets see them; of deactivated images to administrators', async () => {
    await serve(VISIBLE);
    const id = await upload();
    const shown = await show(id);
    expect(shown['direct_url']).toMatch(new RegExp(`^file:///.*/store-a/${id}\\.`));
    expect(shown['locations']).toEqual([{ url: shown['direct_url'], metadata: { store: 'a' } }]);
    const [listed] = (await world.call('GET /v2/images', { as: 'p:member' })).json['images'] as object[];
    expect(listed).toEqual(shown);
    await world.call(`PATCH /v2/images/${id}`, {
      as: 'p:member',
      headers: PATCH,
      body: JSON.stringify([{ op: 'replace', path: '/visibility', value: 'community' }]),
    });
    expect('locations' in (await world.call(`GET /v2/images/${id}`, { as: 'q:member' })).json).toBe(false);
    await world.call(`POST /v2/images/${id}/actions/deactivate`, { as: 'p:member' });
    expect('locations' in (await show(id))).toBe(false);
    expect('locations' in (await world.call(`GET /v2/images/${id}`, { as: 'ops:admin' })).json).toBe(true);
  });
});

describe('PATCH of locations', () => {
  test('403 while they are invisible', async () => {
    await serve();
    const answer = await patch(await register(), [{ op: 'add', path: '/locations/-', value: place('/disk') }]);
    expect([answer.status, answer.text]).toEqual([403, expect.stringContaining('if locations are invisible')]);
  });

  test('the first one makes a queued image active, with the digests that the caller gives', async () => {
    await serve(VISIBLE);
    const id = await register();
    const validation = { os_hash_algo: 'sha512', os_hash_value: digest, checksum: 'A'.repeat(32) };
    const value = { ...place('/disk', { note: 'mine' }), validation_data: validation };
    const changed = await patch(id, [
      { op: 'add', path: '/locations/-', value },
      { op: 'replace', path: '/name', value: 'together' },
    ]);
    expect([changed.status, changed.json]).toMatchObject([
      200,
      {
        status: 'active',
        name: 'together',
        size: disk.length,
        checksum: 'a'.repeat(32),
        os_hash_value: digest,
        locations: [{ url: `${web.url}/disk`, metadata: { note: 'mine', store: 'web' } }],
      },
    ]);
  });

  test('adds, notes anew, and removes places; what the service stored goes with its place', async () => {
    await serve(VISIBLE);
    const id = await upload();
    const added = await patch(id, [{ op: 'add', path: '/locations/0', value: place('/disk') }]);
    const own = String(((await show(id))['locations'] as { url: string }[])[1]?.url);
    expect(urls(added)).toEqual([`${web.url}/disk`, own]);
    const noted = await patch(id, [
      { op: 'replace', path: '/locations', value: [place('/disk', { a: 1 }), { url: own, metadata: {} }] },
    ]);
    expect(noted.json['locations']).toMatchObject([{ metadata: { a: 1, store: 'web' } }, { metadata: { store: 'a' } }]);
    const remove = [{ op: 'remove', path: '/locations/1' }];
    expect((await patch(id, remove)).status).toBe(403);
    expect(urls(await patch(id, remove, 'ops:admin'))).toEqual([`${web.url}/disk`]);
    await vi.waitFor(async () => expect(await world.files()).toEqual([]), { timeout: 10_000 });
    expect((await patch(id, [{ op: 'remove', path: '/locations/0' }], 'ops:admin')).status).toBe(403);
  });

  test('to drop a place by replacing asks delete_image_location', async () => {
    await serve(VISIBLE);
    const id = await upload();
    const operations = [{ op: 'replace', path: '/locations', value: [place('/disk')] }];
    expect((await patch(id, operations)).status).toBe(403);
    expect((await patch(id, operations, 'ops:admin')).status).toBe(200);
    await vi.waitFor(async () => expect(await world.files()).toEqual([]), { timeout: 10_000 });
  });

  test.each([
    {
      what: 'a file',
      operation: { op: 'add', path: '/locations/-', value: { url: 'file:///etc/passwd' } },
      status: 400,
    },
    { what: 'no object', operation: { op: 'add', path: '/locations/-', value: 'x' }, status: 400 },
    { what: 'no position', operation: { op: 'add', path: '/locations', value: {} }, status: 400 },
    { what: 'a position beyond', operation: { op: 'remove', path: '/locations/1' }, status: 400 },
    { what: 'an empty list', operation: { op: 'replace', path: '/locations', value: [] }, status: 403 },
    { what: 'one of a list', operation: { op: 'replace', path: '/locations/0', value: {} }, status: 400 },
    {
      what: 'digests for data that is there',
      operation: {
        op: 'add',
        path: '/locations/-',
        value: { url: 'http://x/', validation_data: { os_hash_algo: 'sha512', os_hash_value: 'a'.repeat(128) } },
      },
      status: 409,
    },
  ])('refused with $status: $what', async ({ operation, status }) => {
    await serve(VISIBLE);
    const id = await upload();
    expect((await patch(id, [operation], 'ops:admin')).status).toBe(status);
    expect((await show(id))['locations']).toHaveLength(1);
  });

  test('data of another size is no copy; more places than the quota are too many', async () => {
    await serve({ ...VISIBLE, 'DEFAULT.image_location_quota': '2' });
    const id = await upload();
    web.files.set('/short', disk.subarray(512));
    expect((await patch(id, [{ op: 'add', path: '/locations/-', value: place('/short') }])).status).toBe(400);
    expect((await patch(id, [{ op: 'add', path: '/locations/-', value: place('/disk') }])).status).toBe(200);
    expect((await patch(id, [{ op: 'add', path: '/locations/-', value: place('/disk') }])).status).toBe(400);
    expect((await patch(id, [{ op: 'add', path: '/locations/-', value: place('/copy') }])).status).toBe(413);
  });
});

test("Debian's glance client adds, notes and removes locations", async () => {
  const program = await requirePackage('glance', 'python3-glanceclient');
  world = await makeApiWorld({
    overrides: {
      'DEFAULT.enabled_backends': 'a:file, b:file, web:http',
      'web.http_allowed_addresses': '127.0.0.1',
      ...VISIBLE,
    },
  });
  const glance = (...parameters: string[]): Promise<string> =>
    runClient(program, ['--os-image-url', world.url, '--os-auth-token', 'none', ...parameters], world.path('.'));
  const id = await register();
  const [first, second] = [`${web.url}/disk`, `${web.url}/copy`];
  await glance(
    'location-add',
    '--url',
    first,
    '--hash-algo',
    'sha512',
    '--hash-value',
    digest,
    '--checksum',
    'a'.repeat(32),
    id,
  );
  expect(await show(id)).toMatchObject({ status: 'active', os_hash_value: digest });
  await glance('location-add', '--url', second, id);
  await glance('location-update', '--url', second, '--metadata', '{"note": "mine"}', id);
  const places = (await show(id))['locations'] as { url: string; metadata: object }[];
  expect(places.find(({ url }) => url === second)?.metadata).toEqual({ note: 'mine', store: 'web' });
  await glance('location-delete', '--url', first, id);
  expect((await show(id))['locations']).toMatchObject([{ url: second }]);
});

test('a download prefers the stores that it names, and takes another where they have nothing', async () => {
  await serve({ 'a.weight': '10', ...VISIBLE });
  const id = await upload();
  const other = Buffer.from(disk).fill(7, 0, 10);
  web.files.set('/other', disk);
  const added = await patch(id, [{ op: 'add', path: '/locations/-', value: place('/other') }]);
  expect(added.status).toBe(200);
  web.files.set('/other', other);
  const from = async (prefer: string): Promise<Buffer> => {
    const answer = await fetch(`${world.url}/v2/images/${id}/file?prefer=${prefer}`, {
      headers: { 'x-test-caller': 'p:member' },
    });
    return Buffer.from(await answer.arrayBuffer());
  };
  expect((await from('')).equals(disk)).toBe(true);
  expect((await from('web')).equals(other)).toBe(true);
  expect((await from('b,web,a')).equals(other)).toBe(true);
  expect((await from('nothing,b')).equals(disk)).toBe(true);
});

describe('DELETE /v2/stores/STORE/ID', () => {
  test('takes an image out of one of its stores, not out of the last', async () => {
    await serve();
    const id = await register();
    const staged = { as: 'p:member', headers: OCTETS, body: disk };
    expect((await world.call(`PUT /v2/images/${id}/stage`, staged)).status).toBe(204);
    const from = (store: string, as: string = 'ops:admin'): Promise<Answer> =>
      world.call(`DELETE /v2/stores/${store}/${id}`, { as });
    expect((await from('a')).status).toBe(404);
    const body = { method: { name: 'glance-direct' }, stores: ['a', 'b'] };
    expect((await world.call(`POST /v2/images/${id}/import`, { as: 'p:member', body })).status).toBe(202);
    expect(await taskEnd(id)).toMatchObject({ status: 'success' });
    expect((await from('a', 'p:member')).status).toBe(403);
    expect((await from('a', 'q:member')).status).toBe(404);
    expect((await from('z')).status).toBe(404);
    expect((await from('web')).status).toBe(404);
    expect((await from('a')).status).toBe(204);
    await vi.waitFor(async () => expect((await world.files()).map((name) => name.split('/')[0])).toEqual(['store-b']), {
      timeout: 10_000,
    });
    expect(await show(id)).toMatchObject({ stores: 'b', status: 'active' });
    expect((await from('b')).status).toBe(403);
    await world.call(`POST /v2/images/${id}/actions/deactivate`, { as: 'p:member' });
    expect((await from('b')).status).toBe(409);
  });
});
