/** The clients that people use, as Debian ships them, against a service without authentication. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { qemuImg } from './world.ts';

const SAMPLE = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'sample.qcow2');

let world: ApiWorld;
let openstackPath: string;
let glancePath: string;
let raw: Buffer;

beforeAll(async () => {
  openstackPath = await requirePackage('openstack', 'python3-openstackclient');
  glancePath = await requirePackage('glance', 'python3-glanceclient');
  world = await makeApiWorld({
    overrides: {
      'image_import_opts.image_import_plugins': '[image_conversion]',
      'image_conversion.output_format': 'raw',
    },
  });
  // Clients keep what they learn of a service in the home directory.
  await mkdir(world.path('home'));
  await qemuImg('convert', '-O', 'raw', SAMPLE, world.path('sample.raw'));
  raw = await readFile(world.path('sample.raw'));
});
afterAll(() => world.remove());

async function run(program: string, parameters: readonly string[], input?: string): Promise<string> {
  const file = input === undefined ? undefined : await open(input);
  const { OS_AUTH_TYPE: _type, OS_ENDPOINT: _endpoint, ...env } = process.env;
  const child = spawn(program, parameters, {
    stdio: [file?.fd ?? 'ignore', 'pipe', 'pipe'],
    env: { ...env, HOME: world.path('home'), LC_ALL: 'C.UTF-8' },
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('assertion failed: the outputs are pipes');
  const [out, complaint, [code]] = await Promise.all([text(stdout), text(stderr), once(child, 'close')]);
  await file?.close();
  expect(code, `${parameters.join(' ')}\n${out}${complaint}`).toBe(0);
  return out;
}

function openstack(...parameters: readonly string[]): Promise<string> {
  return run(openstackPath, ['--os-auth-type', 'none', '--os-endpoint', world.url, ...parameters]);
}

async function openstackJson(...parameters: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await openstack(...parameters, '-f', 'json')) as Record<string, unknown>;
}

function glance(parameters: readonly string[], input?: string): Promise<string> {
  return run(glancePath, ['--os-image-url', world.url, '--os-auth-token', 'none', ...parameters], input);
}

/** Waits for the end of the image's newest task. */
async function importEnd(id: string): Promise<unknown> {
  const { json } = await world.call(`GET /v2/images/${id}/tasks`);
  const [task] = json['tasks'] as { readonly id: string }[];
  await world.call(`GET /v2/tasks/${task?.id}/events`);
  return (await world.call(`GET /v2/tasks/${task?.id}`)).json['status'];
}

describe('openstack', () => {
  test('creates, shows, lists, changes, saves and deletes an image', async () => {
    const formats = ['--disk-format', 'qcow2', '--container-format', 'bare'];
    const made = await openstackJson(
      'image',
      'create',
      '--file',
      SAMPLE,
      ...formats,
      '--property',
      'os=debian',
      '--tag',
      'small',
      'one',
    );
    const id = String(made['id']);
    const shown = await openstackJson('image', 'show', 'one');
    expect(shown).toMatchObject({ id, status: 'active', disk_format: 'qcow2', visibility: 'shared', tags: ['small'] });
    expect(shown['properties']).toMatchObject({ os: 'debian', os_hash_algo: 'sha512', stores: 'a' });
    const listed = (await openstackJson('image', 'list', '--long', '--sort', 'name:asc')) as unknown as object[];
    expect(listed).toMatchObject([{ ID: id, Name: 'one', Status: 'active', Tags: ['small'] }]);
    await openstack('image', 'set', '--name', 'two', '--property', 'os=other', '--min-disk', '1', '--protected', 'one');
    await openstack('image', 'unset', '--tag', 'small', 'two');
    expect(await openstackJson('image', 'show', 'two')).toMatchObject({
      name: 'two',
      min_disk: 1,
      protected: true,
      tags: [],
    });
    await openstack('image', 'save', '--file', world.path('saved.qcow2'), 'two');
    expect((await readFile(world.path('saved.qcow2'))).equals(await readFile(SAMPLE))).toBe(true);
    await openstack('image', 'set', '--unprotected', '--deactivate', 'two');
    await openstack('image', 'set', '--activate', 'two');
    await openstack('image', 'delete', 'two');
    expect(await openstackJson('image', 'list')).toEqual([]);
  });

  test('imports with a conversion', async () => {
    const formats = ['--disk-format', 'qcow2', '--container-format', 'bare'];
    const made = await openstackJson('image', 'create', '--import', '--file', SAMPLE, ...formats, 'imported');
    expect(await importEnd(String(made['id']))).toBe('success');
    expect(await openstackJson('image', 'show', 'imported')).toMatchObject({ status: 'active', disk_format: 'raw' });
    await openstack('image', 'save', '--file', world.path('saved.raw'), 'imported');
    expect((await readFile(world.path('saved.raw'))).equals(raw)).toBe(true);
    await openstack('image', 'delete', 'imported');
  });
});

describe('glance', () => {
  test('uploads, changes, shares, downloads and deletes an image', async () => {
    const formats = ['--disk-format', 'qcow2', '--container-format', 'bare'];
    await glance(['image-create', ...formats, '--name', 'plain'], SAMPLE);
    const [image] = (await world.call('GET /v2/images?name=plain')).json['images'] as { readonly id: string }[];
    const id = image?.id ?? '';
    expect(await glance(['image-show', id])).toMatch(/status +\| active/);
    await glance(['image-update', '--name', 'renamed', '--property', 'x=y', id]);
    await glance(['image-tag-update', id, 'blue']);
    await glance(['member-create', id, 'project']);
    expect(await glance(['member-list', '--image-id', id])).toMatch(/project +\| pending/);
    await glance(['member-delete', id, 'project']);
    await glance(['image-deactivate', id]);
    await glance(['image-reactivate', id]);
    expect(await glance(['image-list', '--property-filter', 'x=y', '--tag', 'blue'])).toContain('renamed');
    await glance(['image-download', '--file', world.path('downloaded.qcow2'), id]);
    expect((await readFile(world.path('downloaded.qcow2'))).equals(await readFile(SAMPLE))).toBe(true);
    await glance(['image-delete', id]);
    expect(await glance(['image-list'])).not.toContain(id);
  });

  test('imports into a named store, and shows what there is', async () => {
    expect(await glance(['stores-info'])).toContain('"default"');
    expect(await glance(['import-info'])).toContain('direct');
    const formats = ['--disk-format', 'qcow2', '--container-format', 'bare'];
    const method = ['--import-method', 'glance-direct', '--store', 'b'];
    await glance(['image-create-via-import', ...method, ...formats, '--name', 'via'], SAMPLE);
    const [image] = (await world.call('GET /v2/images?name=via')).json['images'] as { readonly id: string }[];
    const id = image?.id ?? '';
    expect(await importEnd(id)).toBe('success');
    expect(await glance(['image-show', id])).toMatch(/stores +\| b/);
    expect(await glance(['image-tasks', id])).toContain('success');
    expect(await glance(['task-list'])).toContain('api_image_import');
    expect(await glance(['usage'])).toContain('image_count_total');
    await glance(['image-delete', id]);
  });
});
