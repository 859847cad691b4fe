/** A location that is added to an image with data holds the same data: it is read before the image names it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RawParts } from '../src/main.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { makePlaceWorld, patched, uploaded } from './place-world.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';
import { diskBytes } from './world.ts';

const OWNER = 'p:member';
const ADMIN = 'ops:admin';

let world: ApiWorld;
let web: WebFiles;
let catalog: RawParts['catalog'];
const disk = diskBytes();
const other = Buffer.from(disk).fill(7, 0, 10);

beforeEach(async () => {
  web = await startWebFiles();
  web.files.set('/disk', disk).set('/other', other);
});
afterEach(async () => {
  await world.remove();
  await web.close();
});

async function serve(overrides: Readonly<Record<string, string>> = {}): Promise<string> {
  world = await makePlaceWorld({
    overrides: { 'DEFAULT.show_multiple_locations': 'true', ...overrides },
    intercept: (parts) => {
      catalog = parts.catalog;
      return parts;
    },
  });
  return uploaded(world, OWNER, disk);
}

function patch(id: string, operations: readonly object[], as: string = OWNER): Promise<Answer> {
  return patched(world, id, { as, operations });
}

function adding(path: string): object {
  return { op: 'add', path: '/locations/-', value: { url: `${web.url}${path}`, metadata: {} } };
}

async function show(id: string): Promise<Record<string, unknown>> {
  return (await world.call(`GET /v2/images/${id}`, { as: OWNER })).json;
}

async function urlsOf(id: string): Promise<readonly string[]> {
  return ((await show(id))['locations'] as { readonly url: string }[]).map(({ url }) => url);
}

async function tasksOf(id: string): Promise<readonly Record<string, unknown>[]> {
  return (await world.call(`GET /v2/images/${id}/tasks`, { as: OWNER })).json['tasks'] as Record<string, unknown>[];
}

/** Holds whoever reads whole files. */
function heldReads(): { readonly asked: Promise<void>; readonly letGo: () => void } {
  const asked = Promise.withResolvers<void>();
  const hold = Promise.withResolvers<void>();
  web.before = async ({ headers }) => {
    if (headers.range !== undefined) return;
    asked.resolve();
    await hold.promise;
  };
  return { asked: asked.promise, letGo: () => hold.resolve() };
}

describe('a further location of an active image', () => {
  test('that holds the same data is listed when the call is answered', async () => {
    const id = await serve();
    const answer = await patch(id, [adding('/disk')]);
    expect([answer.status, answer.json['stores']]).toEqual([200, 'a,web']);
    expect((await urlsOf(id))[1]).toBe(`${web.url}/disk`);
    expect(web.calls).toContain('GET /disk');
    expect(await tasksOf(id)).toMatchObject([{ type: 'location_import', status: 'success', result: { image_id: id } }]);
    expect(await show(id)).not.toHaveProperty('os_glance_import_task');
  });

  test.each([
    { known: 'SHA-512', forget: {} },
    { known: 'MD5', forget: { osHashAlgo: null, osHashValue: null } },
  ])('that holds other data of the same size is refused: $known is known', async ({ known, forget }) => {
    const id = await serve();
    await catalog.images.save(await catalog.images.get(id), forget);
    const before = await show(id);
    const refused = await patch(id, [adding('/other')]);
    expect([refused.status, refused.json['error_code'], refused.json['message']]).toEqual([
      400,
      'hash_mismatch',
      `The data at the location has another ${known} than the image`,
    ]);
    expect(await show(id)).toEqual({ ...before, updated_at: expect.any(String) });
    expect(await tasksOf(id)).toMatchObject([{ status: 'failure', error_code: 'hash_mismatch' }]);
    expect((await patch(id, [adding('/disk')])).status).toBe(200);
  });

  test('is not named while it is read; the image stays usable, and gets no others meanwhile', async () => {
    const id = await serve();
    const { asked, letGo } = heldReads();
    const answer = patch(id, [adding('/disk')]);
    await asked;
    expect(await show(id)).toMatchObject({ status: 'active', stores: 'a' });
    expect((await patch(id, [adding('/disk')])).status).toBe(409);
    expect((await world.call(`DELETE /v2/stores/a/${id}`, { as: ADMIN })).status).toBe(409);
    expect((await patch(id, [{ op: 'replace', path: '/name', value: 'meanwhile' }])).status).toBe(200);
    const data = await fetch(`${world.url}/v2/images/${id}/file`, { headers: { 'x-test-caller': OWNER } });
    expect(Buffer.from(await data.arrayBuffer()).equals(disk)).toBe(true);
    letGo();
    expect((await answer).json).toMatchObject({ name: 'meanwhile', stores: 'a,web' });
  });

  test('is named after a stop of the service too, whoever waits', async () => {
    const id = await serve();
    const { asked, letGo } = heldReads();
    const answer = patch(id, [adding('/disk')]).catch(() => undefined);
    await asked;
    const restarted = world.restart();
    letGo();
    await Promise.all([restarted, answer]);
    await vi.waitFor(async () => expect(await urlsOf(id)).toHaveLength(2), { timeout: 10_000 });
  });

  test('is named with whatever else the call does to locations, all at once or not at all', async () => {
    const id = await serve();
    const replacing = (path: string): object => ({
      op: 'replace',
      path: '/locations',
      value: [{ url: `${web.url}${path}`, metadata: { note: 1 } }],
    });
    expect((await patch(id, [replacing('/other')], ADMIN)).status).toBe(400);
    expect((await show(id))['stores']).toBe('a');
    const replaced = await patch(id, [replacing('/disk')], ADMIN);
    expect(replaced.json['locations']).toEqual([{ url: `${web.url}/disk`, metadata: { note: 1, store: 'web' } }]);
    await vi.waitFor(async () => expect(await world.files()).toEqual([]), { timeout: 10_000 });
  });

  test('comes alone: other changes are calls of their own', async () => {
    const id = await serve();
    const refused = await patch(id, [adding('/disk'), { op: 'replace', path: '/name', value: 'x' }]);
    expect([refused.status, refused.json['message']]).toEqual([400, expect.stringContaining('of their own')]);
    expect(await tasksOf(id)).toEqual([]);
  });

  test('for which the project has no room is refused before it is read', async () => {
    const id = await serve({ 'project_limits.image_size_total': '1' });
    const refused = await patch(id, [adding('/disk')]);
    expect([refused.status, refused.json['error_code']]).toEqual([413, 'over_quota']);
    expect([await tasksOf(id), web.calls.includes('GET /disk')]).toEqual([[], false]);
  });

  test('can be cancelled like every task', async () => {
    const id = await serve();
    const { asked, letGo } = heldReads();
    const answer = patch(id, [adding('/disk')]);
    await asked;
    const [task] = await tasksOf(id);
    expect((await world.call(`POST /v2/tasks/${String(task?.['id'])}/actions/cancel`, { as: OWNER })).status).toBe(202);
    expect((await answer).json).toMatchObject({ error_code: 'cancelled' });
    letGo();
    expect(await show(id)).toMatchObject({ status: 'active', stores: 'a' });
    expect(await show(id)).not.toHaveProperty('os_glance_import_task');
  });
});

describe('without anything to hold it against', () => {
  test('a location is named at once: no digest is known, or none is to be computed', async () => {
    const id = await serve();
    await catalog.images.save(await catalog.images.get(id), { osHashAlgo: null, osHashValue: null, checksum: null });
    expect((await patch(id, [adding('/other')])).status).toBe(200);
    expect(await tasksOf(id)).toEqual([]);
    await world.remove();
    const trusted = await serve({ 'DEFAULT.do_secure_hash': 'false' });
    expect((await patch(trusted, [adding('/other')])).status).toBe(200);
    expect(await tasksOf(trusted)).toEqual([]);
  });

  test('because the digest is still to come, the call has to come later', async () => {
    const id = await serve();
    await catalog.images.save(await catalog.images.get(id), { osHashValue: null });
    const refused = await patch(id, [adding('/disk')]);
    expect([refused.status, refused.json['message']]).toEqual([409, expect.stringContaining('still being computed')]);
  });
});
