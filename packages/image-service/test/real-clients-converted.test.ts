/** Uploads that are converted, by Debian's clients as they upload to any service. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { qemuImg } from './world.ts';

const run = promisify(execFile);
const SAMPLE = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'sample.qcow2');
const FORMATS = ['--disk-format', 'qcow2', '--container-format', 'bare'];

let world: ApiWorld;
let clients: { readonly openstack: string; readonly glance: string };

beforeAll(async () => {
  clients = {
    openstack: await requirePackage('openstack', 'python3-openstackclient'),
    glance: await requirePackage('glance', 'python3-glanceclient'),
  };
  world = await makeApiWorld({
    overrides: { 'image_conversion.convert_uploads': 'true', 'image_conversion.output_format': 'raw' },
  });
  // Clients keep what they learn of a service in the home directory.
  await mkdir(world.path('home'));
});
afterAll(() => world.remove());

async function client(program: string, ...parameters: readonly string[]): Promise<string> {
  const { OS_AUTH_TYPE: _type, OS_ENDPOINT: _endpoint, ...rest } = process.env;
  return (await run(program, parameters, { env: { ...rest, HOME: world.path('home'), LC_ALL: 'C.UTF-8' } })).stdout;
}

function openstack(...parameters: readonly string[]): Promise<string> {
  return client(clients.openstack, '--os-auth-type', 'none', '--os-endpoint', world.url, ...parameters);
}

function glance(...parameters: readonly string[]): Promise<string> {
  return client(clients.glance, '--os-image-url', world.url, '--os-auth-token', 'none', ...parameters);
}

/** The image as it is when the client has ended. */
async function imageNamed(name: string): Promise<Record<string, unknown>> {
  const { json } = await world.call(`GET /v2/images?name=${name}`);
  return (json['images'] as Record<string, unknown>[])[0] ?? {};
}

const CONVERTED = { status: 'active', disk_format: 'raw', container_format: 'bare', source_format: 'qcow2' };

test('openstack image create --file ends with an active, converted image, and saves it', async () => {
  // It prints what it was told before it sent the data.
  await openstack('image', 'create', '--file', SAMPLE, ...FORMATS, 'one');
  expect(await imageNamed('one')).toMatchObject(CONVERTED);
  await openstack('image', 'save', '--file', world.path('one.raw'), 'one');
  await qemuImg('compare', '-f', 'qcow2', '-F', 'raw', SAMPLE, world.path('one.raw'));
});

test('glance image-create --file ends with an active, converted image, and downloads it', async () => {
  const shown = await glance('image-create', '--file', SAMPLE, ...FORMATS, '--name', 'two');
  expect(shown).toMatch(/status +\| active/);
  expect(shown).toMatch(/disk_format +\| raw/);
  const { id, ...image } = await imageNamed('two');
  expect(image).toMatchObject(CONVERTED);
  await glance('image-download', '--file', world.path('two.raw'), String(id));
  await qemuImg('compare', '-f', 'qcow2', '-F', 'raw', SAMPLE, world.path('two.raw'));
});
