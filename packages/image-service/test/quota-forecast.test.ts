/** What certainly cannot fit into a project's limits is refused before it is made; what may fit gets its room first. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { RawParts } from '../src/main.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { makeWorld, memoryDirectory, qemuImg } from './world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const JSON_ERRORS = { accept: 'application/json' };
const MIB = 2 ** 20;
const OWNER = 'p:member';
const ADMIN = 'ops:admin';
const HOLE = new Uint8Array(MIB);

let world: ApiWorld;
let conversions = 0;
let hashes = 0;

/** Where conversions wait. */
interface Gate {
  readonly reached: PromiseWithResolvers<void>;
  readonly open: PromiseWithResolvers<void>;
}
let gate: Gate | undefined;

afterEach(async () => {
  gate?.open.resolve();
  gate = undefined;
  await world.remove();
});

function closedGate(): Gate {
  return (gate = { reached: Promise.withResolvers<void>(), open: Promise.withResolvers<void>() });
}

async function serve(overrides: Readonly<Record<string, string>>): Promise<void> {
  conversions = 0;
  hashes = 0;
  const intercept = (parts: RawParts): RawParts => ({
    ...parts,
    staging: {
      ...parts.staging,
      async hash(...parameters) {
        hashes += 1;
        return parts.staging.hash(...parameters);
      },
    },
    tools: {
      ...parts.tools,
      async convert(conversion, work) {
        conversions += 1;
        gate?.reached.resolve();
        await gate?.open.promise;
        return parts.tools.convert(conversion, work);
      },
    },
  });
  world = await makeApiWorld({ authenticator: HEADER_AUTHENTICATION, overrides, intercept });
}

async function register(diskFormat: string): Promise<string> {
  const body = { disk_format: diskFormat, container_format: 'bare' };
  return String((await world.call('POST /v2/images', { as: OWNER, body })).json['id']);
}

function put(id: string, what: 'file' | 'stage', body: Uint8Array): Promise<Answer> {
  return world.call(`PUT /v2/images/${id}/${what}`, { as: OWNER, headers: OCTETS, body });
}

async function active(diskFormat: string, body: Uint8Array): Promise<string> {
  const id = await register(diskFormat);
  expect((await put(id, 'file', body)).status).toBe(204);
  return id;
}

function convert(id: string, body: Readonly<Record<string, unknown>>): Promise<Answer> {
  return world.call(`POST /v2/images/${id}/actions/convert`, { as: OWNER, body, headers: JSON_ERRORS });
}

function importInto(id: string, more: Readonly<Record<string, unknown>>, as: string = OWNER): Promise<Answer> {
  const body = { method: { name: 'glance-direct' }, ...more };
  return world.call(`POST /v2/images/${id}/import`, { as, body, headers: JSON_ERRORS });
}

async function tasksOf(id: string): Promise<readonly Record<string, unknown>[]> {
  return (await world.call(`GET /v2/images/${id}/tasks`, { as: OWNER })).json['tasks'] as Record<string, unknown>[];
}

async function endOf(id: string): Promise<unknown> {
  const [task] = await tasksOf(id);
  await world.call(`GET /v2/tasks/${String(task?.['id'])}/events`, { as: ADMIN });
  return (await world.call(`GET /v2/tasks/${String(task?.['id'])}`, { as: ADMIN })).json;
}

async function storedMebibytes(): Promise<unknown> {
  const { json } = await world.call('GET /v2/info/usage', { as: OWNER });
  return (json['usage'] as { readonly image_size_total: { readonly usage: number } }).image_size_total.usage;
}

/** A disk of 64 MiB without data, in a few hundred KiB. */
async function emptyQcow2(): Promise<Uint8Array> {
  const place = await makeWorld(await memoryDirectory());
  await qemuImg('create', '-q', '-f', 'qcow2', place.path('disk.qcow2'), '64M');
  const bytes = await readFile(place.path('disk.qcow2'));
  await place.remove();
  return bytes;
}

describe('a conversion in place', () => {
  test('whose result certainly is too large is refused at once', async () => {
    await serve({ 'project_limits.image_size_total': '63' });
    const id = await active('qcow2', await emptyQcow2());
    const refused = await convert(id, { format: 'raw' });
    expect([refused.status, refused.json['error_code']]).toEqual([413, 'over_quota']);
    expect(refused.json['message']).toContain('image_size_total');
    expect(await tasksOf(id)).toEqual([]);
    const image = (await world.call(`GET /v2/images/${id}`, { as: OWNER })).json;
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2' });
    expect(image).not.toHaveProperty('os_glance_import_task');
    expect((await convert(id, { format: 'vpc', options: { subformat: 'fixed' } })).status).toBe(413);
    expect((await convert(id, { format: 'vpc' })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'success' });
  });

  test('that may fit is begun, whatever its forecast says; what it gives up counts for it', async () => {
    await serve({ 'project_limits.image_size_total': '1' });
    const id = await active('raw', HOLE);
    expect((await convert(id, { format: 'qcow2' })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    expect((await convert(id, { format: 'raw' })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'success' });
  });

  test('has its room promised while it runs', async () => {
    await serve({ 'project_limits.image_size_total': '65' });
    const { reached, open } = closedGate();
    const id = await active('qcow2', await emptyQcow2());
    expect((await convert(id, { format: 'raw' })).status).toBe(202);
    await reached.promise;
    expect(await storedMebibytes()).toBe(64);
    expect((await put(await register('raw'), 'file', new Uint8Array(2 * MIB))).status).toBe(413);
    expect((await put(await register('raw'), 'file', HOLE)).status).toBe(204);
    open.resolve();
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    expect(await storedMebibytes()).toBe(65);
  });
});

describe('an import', () => {
  test('whose result certainly is too large fails before it is converted', async () => {
    await serve({
      'project_limits.image_size_total': '100',
      'image_import_opts.image_import_plugins': 'image_conversion',
      'image_conversion.output_format': 'raw',
    });
    const id = await register('qcow2');
    expect((await put(id, 'stage', await emptyQcow2())).status).toBe(204);
    expect((await importInto(id, { stores: ['a', 'b'] })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'over_quota' });
    expect(conversions).toBe(0);
    expect((await put(id, 'stage', await emptyQcow2())).status).toBe(204);
    expect((await importInto(id, { stores: ['a', 'b'], all_stores_must_succeed: false })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'success' });
    const image = (await world.call(`GET /v2/images/${id}`, { as: OWNER })).json;
    expect(image).toMatchObject({ stores: 'a', os_glance_failed_import: 'b', size: 64 * MIB });
  });

  test('of which another form is certainly too large fails before the first one is made', async () => {
    await serve({
      'project_limits.image_size_total': '60',
      'image_import_opts.image_import_plugins': 'image_conversion',
      'a.output_format': 'vmdk',
      'b.output_format': 'raw',
    });
    const id = await register('qcow2');
    expect((await put(id, 'stage', await emptyQcow2())).status).toBe(204);
    expect((await importInto(id, { stores: ['a', 'b'] })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({ status: 'failure', error_code: 'over_quota' });
    expect(conversions).toBe(0);
  });

  test('that is not converted fails before its data is hashed', async () => {
    await serve({ 'project_limits.image_size_total': '1' });
    const id = await register('raw');
    expect((await put(id, 'stage', HOLE)).status).toBe(204);
    expect((await importInto(id, { stores: ['a', 'b'] })).status).toBe(202);
    expect(await endOf(id)).toMatchObject({
      status: 'failure',
      error_code: 'over_quota',
      message: expect.stringContaining(`the project has 0, and ${2 * MIB} more`),
    });
    expect(hashes).toBe(0);
  });
});

function copy(id: string, more: Readonly<Record<string, unknown>>): Promise<Answer> {
  return importInto(id, { method: { name: 'copy-image' }, ...more }, ADMIN);
}

describe('a copy', () => {
  test('for which there certainly is no room is refused at once', async () => {
    await serve({ 'project_limits.image_size_total': '1' });
    const id = await active('raw', HOLE);
    const refused = await copy(id, { stores: ['b'] });
    expect([refused.status, refused.json['error_code']]).toEqual([413, 'over_quota']);
    expect(await tasksOf(id)).toEqual([]);
    expect((await world.call(`GET /v2/images/${id}`, { as: OWNER })).json).not.toHaveProperty('os_glance_import_task');
  });

  test('into a store that wants another format is judged by what that takes', async () => {
    await serve({ 'project_limits.image_size_total': '60', 'b.output_format': 'raw' });
    const id = await active('qcow2', await emptyQcow2());
    expect((await copy(id, { stores: ['b'] })).status).toBe(413);
  });

  test('has its room promised while it runs', async () => {
    await serve({ 'project_limits.image_size_total': '66', 'b.output_format': 'raw' });
    const { reached, open } = closedGate();
    const id = await active('qcow2', await emptyQcow2());
    expect((await copy(id, { stores: ['b'] })).status).toBe(202);
    await reached.promise;
    expect(await storedMebibytes()).toBe(65);
    expect((await put(await register('raw'), 'file', new Uint8Array(2 * MIB))).status).toBe(413);
    open.resolve();
    expect(await endOf(id)).toMatchObject({ status: 'success' });
  });
});
