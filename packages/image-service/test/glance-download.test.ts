/** Images of another image service: a second one of ours behind a proxy, both asking the same fake Keystone. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Answer, ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import type { FakeKeystone } from './fake-keystone.ts';
import { startFakeKeystone } from './fake-keystone.ts';
import { diskBytes, qemuImg } from './world.ts';

const TOKEN = 'token-of-ann';
const bytes = diskBytes();

/** What the proxy does with a call instead of passing it on; false: it passes it on. */
type Trouble = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

let fake: FakeKeystone;
let there: ApiWorld;
let here: ApiWorld | undefined;
let proxy: Server;
let proxyUrl: string;
let trouble: Trouble;
/** `GET /path range`, as the other service was asked. */
let asked: string[];
let tokens: (string | undefined)[];

/** A call that the other service refuses, and what becomes of the import. */
interface Refusal {
  readonly what: string;
  readonly trouble: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly code: string;
  readonly overrides?: Readonly<Record<string, string>>;
}

function answering(code: number, headers: Record<string, string> = {}): Refusal['trouble'] {
  return (_request, response) => {
    response.writeHead(code, headers).end();
    return true;
  };
}

function onFile(act: Refusal['trouble']): Refusal['trouble'] {
  return (request, response) => (String(request.url).endsWith('/file') ? act(request, response) : false);
}

/** An endpoint as the catalogue has it. */
function endpoint(region: string, kind: string, url: string): unknown {
  return { interface: kind, region, url };
}

beforeEach(async () => {
  fake = await startFakeKeystone(Date.now);
  [trouble, asked, tokens] = [() => false, [], []];
  there = await makeApiWorld({ overrides: keystone() });
  proxy = createServer((request, response) => {
    asked.push([request.method, request.url, request.headers.range].filter((part) => part !== undefined).join(' '));
    tokens.push(String(request.headers['x-auth-token']));
    void Promise.resolve(trouble(request, response)).then((done) => {
      if (!done) passOn(request, response, (piece) => piece);
    });
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  fake.tokens.set(TOKEN, {
    project: 'demo',
    roles: ['member', 'reader'],
    expiresAt: Date.now() + 3_600_000,
    catalog: [
      { type: 'compute', endpoints: [endpoint('RegionTwo', 'public', 'http://127.0.0.1:1')] },
      {
        type: 'image',
        endpoints: [
          endpoint('RegionOne', 'public', 'http://127.0.0.1:1'),
          endpoint('RegionTwo', 'internal', 'http://127.0.0.1:1'),
          endpoint('RegionTwo', 'public', `${proxyUrl}/v2/`),
        ],
      },
    ],
  });
});
afterEach(async () => {
  await here?.remove();
  here = undefined;
  await there.remove();
  proxy.closeAllConnections();
  proxy.close();
  await fake.close();
});

function keystone(): Readonly<Record<string, string>> {
  return {
    'paste_deploy.flavor': 'keystone',
    'keystone_authtoken.auth_url': `${fake.url}/v3`,
    'keystone_authtoken.username': 'glance',
    'keystone_authtoken.password': 'service secret',
    'keystone_authtoken.user_domain_name': 'Default',
    'keystone_authtoken.project_name': 'service',
    'keystone_authtoken.project_domain_name': 'Default',
  };
}

function passOn(request: IncomingMessage, response: ServerResponse, change: (piece: Buffer) => Buffer): void {
  const { host: _host, ...headers } = request.headers;
  httpRequest(`${there.url}${request.url}`, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.on('data', (piece: Buffer) => response.write(change(piece)));
    answer.on('end', () => response.end());
  }).end();
}

const AS_ANN = { 'x-auth-token': TOKEN };

/** An active image of the other service. */
async function remoteImage(more: Readonly<Record<string, unknown>> = {}, data: Uint8Array = bytes): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  const id = String((await there.call('POST /v2/images', { body, headers: AS_ANN })).json['id']);
  const headers = { ...AS_ANN, 'content-type': 'application/octet-stream' };
  expect((await there.call(`PUT /v2/images/${id}/file`, { body: data, headers })).status).toBe(204);
  return id;
}

/** Serves our side. */
async function serve(more: Readonly<Record<string, string>> = {}): Promise<ApiWorld> {
  here = await makeApiWorld({
    overrides: {
      ...keystone(),
      'DEFAULT.enabled_import_methods': '[glance-download]',
      'glance_download.allowed_addresses': '127.0.0.1',
      ...more,
    },
  });
  return here;
}

interface Downloaded {
  readonly id: string;
  readonly answer: Answer;
  /** Waits for the end of the import; gives its task and the image then. */
  end(): Promise<{ readonly task: Record<string, unknown>; readonly image: Record<string, unknown> }>;
}

async function download(
  service: ApiWorld,
  method: Readonly<Record<string, unknown>>,
  body: Readonly<Record<string, unknown>> = {},
): Promise<Downloaded> {
  const id = String((await service.call('POST /v2/images', { body, headers: AS_ANN })).json['id']);
  const name = { name: 'glance-download', glance_region: 'RegionTwo', ...method };
  const answer = await service.call(`POST /v2/images/${id}/import`, { body: { method: name }, headers: AS_ANN });
  const taskOf = async (): Promise<Record<string, unknown>> => {
    const { json } = await service.call(`GET /v2/images/${id}/tasks`, { headers: AS_ANN });
    return (json['tasks'] as Record<string, unknown>[])[0] ?? {};
  };
  return {
    id,
    answer,
    async end() {
      await service.call(`GET /v2/tasks/${String((await taskOf())['id'])}/events`, { headers: AS_ANN });
      const deadline = Date.now() + 20_000;
      // Events are for administrators: others look again.
      while (!['success', 'failure'].includes(String((await taskOf())['status'])) && Date.now() < deadline);
      return { task: await taskOf(), image: (await service.call(`GET /v2/images/${id}`, { headers: AS_ANN })).json };
    },
  };
}

async function fileOf(service: ApiWorld, id: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(`${service.url}/v2/images/${id}/file`, { headers: AS_ANN })).arrayBuffer());
}

describe('an image of another service', () => {
  test('comes with its formats and the properties that are taken over', async () => {
    const properties = { hw_disk_bus: 'scsi', os_distro: 'debian', 'trait:x': 'required', internal_note: 'mine' };
    const remote = await remoteImage(properties);
    const service = await serve();
    const { id, answer, end } = await download(service, { glance_image_id: remote });
    expect(answer, answer.text).toMatchObject({ status: 202 });
    const { task, image } = await end();
    expect(task).toMatchObject({ status: 'success', message: '' });
    expect(image).toMatchObject({
      status: 'active',
      disk_format: 'raw',
      container_format: 'bare',
      size: bytes.length,
      hw_disk_bus: 'scsi',
      os_distro: 'debian',
      'trait:x': 'required',
    });
    expect(image).not.toHaveProperty('internal_note');
    // Its address is a private one, and nobody's business.
    expect(image).not.toHaveProperty('source_host');
    expect((await fileOf(service, id)).equals(bytes)).toBe(true);
    expect(asked).toEqual([`GET /v2/images/${remote}`, `GET /v2/images/${remote}/file`]);
    expect(new Set(tokens)).toEqual(new Set([TOKEN]));
    const places = await service.files();
    expect(places.filter((name) => !name.startsWith('store'))).toEqual([]);
  });

  test('is what that service says, whatever it was declared as here; it is converted, and properties are injected', async () => {
    const [raw, qcow2] = [there.path('disk.raw'), there.path('disk.qcow2')];
    await writeFile(raw, bytes);
    await qemuImg('convert', '-O', 'qcow2', raw, qcow2);
    const remote = await remoteImage({ disk_format: 'qcow2', os_type: 'linux' }, await readFile(qcow2));
    const service = await serve({
      'image_import_opts.image_import_plugins': '[image_conversion, inject_image_metadata]',
      'image_conversion.output_format': 'raw',
      'inject_metadata_properties.inject': 'os_type:ours',
      'glance_download_properties.extra_properties': 'os_',
    });
    const body = { disk_format: 'vmdk', container_format: 'ova' };
    const { id, end } = await download(service, { glance_image_id: remote }, body);
    expect((await end()).image).toMatchObject({
      status: 'active',
      disk_format: 'raw',
      container_format: 'bare',
      source_format: 'qcow2',
      os_type: 'ours',
    });
    expect((await fileOf(service, id)).equals(bytes)).toBe(true);
  });

  test('goes on where it was cut off', async () => {
    const remote = await remoteImage();
    let cuts = 0;
    trouble = (request, response) => {
      if (!String(request.url).endsWith('/file') || cuts >= 2) return false;
      cuts += 1;
      let sent = 0;
      passOn(request, response, (piece) => {
        sent += piece.length;
        if (sent > 100_000) response.destroy();
        return piece;
      });
      return true;
    };
    const service = await serve();
    const { id, end } = await download(service, { glance_image_id: remote });
    expect((await end()).task).toMatchObject({ status: 'success' });
    expect((await fileOf(service, id)).equals(bytes)).toBe(true);
    expect(asked.filter((line) => line.includes('bytes='))).toHaveLength(2);
  });

  test('comes also when the service was stopped in the middle; the token lies nowhere to be read', async () => {
    const remote = await remoteImage();
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    trouble = async ({ url }) => {
      if (String(url).endsWith('/file')) {
        reached.resolve();
        await goOn.promise;
      }
      return false;
    };
    const service = await serve();
    const { id, end } = await download(service, { glance_image_id: remote });
    await reached.promise;
    await service.restart();
    for (const name of ['state.db', 'state.db-wal']) {
      const state = await readFile(service.path(`state/${name}`)).catch(() => Buffer.alloc(0));
      expect(state.includes(TOKEN)).toBe(false);
    }
    goOn.resolve();
    expect((await end()).task).toMatchObject({ status: 'success' });
    expect((await fileOf(service, id)).equals(bytes)).toBe(true);
  });
});

describe('a download that cannot be', () => {
  test.each([
    { what: 'no region', method: { glance_region: undefined }, says: /'glance_region' needs to be set/ },
    { what: 'no image', method: { glance_image_id: undefined }, says: /'glance_image_id' needs to be set/ },
    { what: 'no UUID', method: { glance_image_id: 'x' }, says: /does not look like a UUID/ },
    { what: 'an odd interface', method: { glance_service_interface: 'odd' }, says: /'glance_service_interface'/ },
    { what: 'an unknown region', method: { glance_region: 'Nowhere' }, says: /No image service is known/ },
    { what: 'an interface that is not there', method: { glance_service_interface: 'admin' }, says: /No image service/ },
  ])('with $what is refused at once', async ({ method, says }) => {
    const service = await serve();
    const wanted = { glance_image_id: '00000000-0000-4000-8000-000000000000', ...method };
    const { answer } = await download(service, wanted);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(says);
  });

  test('an interface that is null is the public one, and regions are compared without case', async () => {
    const remote = await remoteImage();
    const service = await serve();
    const method = { glance_image_id: remote, glance_region: 'regiontwo', glance_service_interface: null };
    expect((await (await download(service, method)).end()).task).toMatchObject({ status: 'success' });
  });

  const refusals: readonly Refusal[] = [
    { what: 'the image is not there', trouble: answering(404), code: 'download_failed' },
    { what: 'the token is no longer good', trouble: answering(401), code: 'download_failed' },
    { what: 'there is no data', trouble: onFile(answering(204)), code: 'download_failed' },
    {
      what: 'it leads elsewhere',
      trouble: answering(302, { location: 'http://127.0.0.2/x' }),
      code: 'blocked_address',
    },
    {
      what: 'its address is private and not allowed',
      trouble: () => false,
      code: 'blocked_address',
      overrides: { 'glance_download.allowed_addresses': '' },
    },
    {
      what: 'other bytes come',
      trouble: onFile((request, response) => {
        passOn(request, response, (piece) => Buffer.from(piece.map((byte) => byte ^ 1)));
        return true;
      }),
      code: 'hash_mismatch',
    },
    {
      what: 'it describes no image',
      trouble: (_request, response) => {
        response.writeHead(200).end('{"status": "queued"}');
        return true;
      },
      code: 'download_failed',
    },
    {
      what: 'the disk_format is none of ours',
      trouble: () => false,
      code: 'invalid_value',
      overrides: { 'image_format.disk_formats': 'qcow2' },
    },
  ];
  test.each(refusals)('because $what ends with a reason', async (refusal) => {
    const remote = await remoteImage();
    trouble = refusal.trouble;
    const service = await serve(refusal.overrides);
    const { end } = await download(service, { glance_image_id: remote });
    const { task, image } = await end();
    expect(task).toMatchObject({ status: 'failure', error_code: refusal.code });
    expect(image).toMatchObject({ status: 'queued', os_glance_failed_import: 'a' });
    expect(await service.files()).toEqual([]);
  });
});

describe('without Keystone', () => {
  test('the service of a region is the one in the configuration, wherever it is, asked with a token of its own', async () => {
    const remote = await remoteImage();
    here = await makeApiWorld({
      overrides: {
        'DEFAULT.enabled_import_methods': '[glance-download]',
        'glance_download.endpoints': `RegionTwo:${proxyUrl}`,
        'glance_download.tokens': `RegionTwo:${TOKEN}`,
      },
    });
    const { id, end } = await download(here, { glance_image_id: remote });
    expect((await end()).task).toMatchObject({ status: 'success' });
    expect((await fileOf(here, id)).equals(bytes)).toBe(true);
    expect(new Set(tokens)).toEqual(new Set([TOKEN]));
    const other = await download(here, { glance_image_id: remote, glance_region: 'RegionOne' });
    expect(other.answer.status).toBe(400);
  });
});
