/** Imports by the clients that people use, as Debian ships them: into several stores, copies, from other services. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { qemuImg } from './world.ts';

const run = promisify(execFile);
const SAMPLE = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'sample.qcow2');
const FORMATS = ['--disk-format', 'qcow2', '--container-format', 'bare'];
/** The interpreter for which Debian installs the clients' libraries. */
const PYTHON = '/usr/bin/python3';

let world: ApiWorld;
let there: ApiWorld;
let web: Server;
let origin: string;
let glancePath: string;

beforeAll(async () => {
  await requirePackage('openstack', 'python3-openstackclient');
  glancePath = await requirePackage('glance', 'python3-glanceclient');
  const sample = await readFile(SAMPLE);
  web = createServer((_request, response) => response.end(sample)).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  there = await makeApiWorld();
  world = await makeApiWorld({
    overrides: {
      'DEFAULT.enabled_import_methods': '[glance-direct, web-download, copy-image, glance-download]',
      'glance_download.endpoints': `RegionTwo:${there.url}`,
      'import_filtering_opts.allowed_import_ports': String(port),
      'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
      'b.output_format': 'raw',
    },
  });
  // Clients keep what they learn of a service in the home directory.
  await mkdir(world.path('home'));
});
afterAll(async () => {
  await world.remove();
  await there.remove();
  web.close();
});

function environment(): NodeJS.ProcessEnv {
  const { OS_AUTH_TYPE: _type, OS_ENDPOINT: _endpoint, ...rest } = process.env;
  return { ...rest, HOME: world.path('home'), LC_ALL: 'C.UTF-8' };
}

/** Runs the `glance` program; `input` is what it reads. */
async function glance(parameters: readonly string[], input?: string): Promise<string> {
  const file = input === undefined ? undefined : await open(input);
  const all = ['--os-image-url', world.url, '--os-auth-token', 'none', ...parameters];
  const child = spawn(glancePath, all, { stdio: [file?.fd ?? 'ignore', 'pipe', 'pipe'], env: environment() });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('assertion failed: the outputs are pipes');
  const [out, complaint, [code]] = await Promise.all([text(stdout), text(stderr), once(child, 'close')]);
  await file?.close();
  expect(code, `${parameters.join(' ')}\n${out}${complaint}`).toBe(0);
  return out;
}

/** Runs lines of Python over a library of a client. */
async function python(...lines: readonly string[]): Promise<string> {
  const script = world.path('script.py');
  await writeFile(script, lines.join('\n'));
  return (await run(PYTHON, [script], { env: environment() })).stdout.trim();
}

/** The image of that name once its newest import has ended. */
async function settled(name: string): Promise<Record<string, unknown>> {
  const find = async (): Promise<Record<string, unknown>> =>
    ((await world.call(`GET /v2/images?name=${name}`)).json['images'] as Record<string, unknown>[])[0] ?? {};
  const { json } = await world.call(`GET /v2/images/${String((await find())['id'])}/tasks`);
  const [task] = json['tasks'] as { readonly id: string }[];
  await world.call(`GET /v2/tasks/${task?.id}/events`);
  expect((await world.call(`GET /v2/tasks/${task?.id}`)).json).toMatchObject({ status: 'success' });
  return find();
}

test('glance import-info and stores-info list what there is', async () => {
  // The program breaks lines where it likes.
  const methods = (await glance(['import-info'])).replaceAll(/[\s|]/g, '');
  for (const method of ['glance-direct', 'web-download', 'copy-image', 'glance-download']) {
    expect(methods).toContain(method);
  }
  expect(await glance(['stores-info'])).toContain('"default": "true"');
});

test('glance image-create-via-import --all-stores: each store gets what it wants', async () => {
  const method = ['--import-method', 'glance-direct', '--all-stores', 'True', '--allow-failure', 'False'];
  await glance(['image-create-via-import', ...method, ...FORMATS, '--name', 'everywhere'], SAMPLE);
  const image = await settled('everywhere');
  expect(image).toMatchObject({
    status: 'active',
    stores: 'a,b',
    disk_format: 'qcow2',
    os_glance_stored_formats: 'a:qcow2,b:raw',
  });
  const id = String(image['id']);
  await glance(['image-download', '--file', world.path('got.qcow2'), id]);
  expect((await readFile(world.path('got.qcow2'))).equals(await readFile(SAMPLE))).toBe(true);
  const raw = await fetch(`${world.url}/v2/images/${id}/file?format=raw`);
  await writeFile(world.path('got.raw'), Buffer.from(await raw.arrayBuffer()));
  await qemuImg('compare', '-f', 'qcow2', '-F', 'raw', SAMPLE, world.path('got.raw'));
  await glance(['image-delete', id]);
});

test('glance image-import: web-download, then copy-image into named stores, then into all', async () => {
  const body = { name: 'fetched', disk_format: 'qcow2', container_format: 'bare' };
  const found = String((await world.call('POST /v2/images', { body })).json['id']);
  await glance(['image-import', found, '--import-method', 'web-download', '--uri', `${origin}/sample.qcow2`]);
  expect(await settled('fetched')).toMatchObject({ status: 'active', stores: 'a' });
  await glance(['image-import', found, '--import-method', 'copy-image', '--stores', 'b']);
  expect(await settled('fetched')).toMatchObject({
    status: 'active',
    stores: 'a,b',
    os_glance_importing_to_stores: '',
    os_glance_failed_import: '',
  });
  await glance(['image-import', found, '--import-method', 'copy-image', '--all-stores', 'True']);
  expect(await glance(['image-tasks', found])).toContain('success');
  expect(await glance(['image-show', found])).toMatch(/stores +\| a,b/);
  await glance(['image-delete', found]);
});

/** The program of this version does not pass on what glance-download needs; its library does. */
test('glanceclient: glance-download', async () => {
  const body = { name: 'far', disk_format: 'qcow2', container_format: 'bare', hw_disk_bus: 'scsi' };
  const remote = String((await there.call('POST /v2/images', { body })).json['id']);
  const headers = { 'content-type': 'application/octet-stream' };
  await there.call(`PUT /v2/images/${remote}/file`, { body: await readFile(SAMPLE), headers });
  await python(
    'from glanceclient.v2 import client',
    `images = client.Client(endpoint=${JSON.stringify(world.url)}, token="none").images`,
    'image = images.create(name="near", disk_format="raw", container_format="bare")',
    `images.image_import(image.id, "glance-download", remote_region="RegionTwo", remote_image_id=${JSON.stringify(remote)}, remote_service_interface="public")`,
  );
  expect(await settled('near')).toMatchObject({ status: 'active', disk_format: 'qcow2', hw_disk_bus: 'scsi' });
});

test('openstacksdk: import_image by copy-image, waiting as its users do', async () => {
  await glance(['image-create', ...FORMATS, '--name', 'plain'], SAMPLE);
  const printed = await python(
    'import openstack, time',
    `conn = openstack.connect(auth_type="none", endpoint=${JSON.stringify(world.url)}, image_endpoint_override=${JSON.stringify(`${world.url}/v2`)})`,
    'image = conn.image.find_image("plain")',
    'conn.image.import_image(image, method="copy-image", all_stores=True, all_stores_must_succeed=True)',
    'for _ in range(200):',
    '    image = conn.image.get_image(image.id)',
    '    if not image.properties.get("os_glance_importing_to_stores"): break',
    '    time.sleep(0.1)',
    'print(image.status, image.properties.get("os_glance_failed_import") == "", image.properties.get("stores") or image.stores)',
  );
  expect(printed).toBe('active True a,b');
});
