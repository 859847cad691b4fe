import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RawParts } from '../src/main.ts';
import type { ServeOptions } from '../src/server.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

type Entry = Readonly<Record<string, unknown>>;

let world: ApiWorld;
let entries: Entry[];
let texts: string[];
afterEach(() => world.remove());

async function serve(options: Partial<ServeOptions> = {}): Promise<void> {
  entries = [];
  texts = [];
  const logging = (entry: string): void => {
    texts.push(entry);
    entries.push(JSON.parse(entry));
  };
  world = await makeApiWorld({ logging, ...options });
}

const IMAGE = { name: 'disk', disk_format: 'raw', container_format: 'bare' };
const OCTETS = { 'content-type': 'application/octet-stream' };

async function newImage(): Promise<string> {
  return String((await world.call('POST /v2/images', { body: IMAGE })).json['id']);
}

/** Entries about calls are written when the connection says that the call is over: soon after the answer. */
async function entriesOf(
  requestId: string | null,
  wanted: (found: readonly Entry[]) => boolean,
): Promise<readonly Entry[]> {
  return expect
    .poll(() => entries.filter((entry) => entry['request_id'] === requestId))
    .toSatisfy(wanted)
    .then(() => entries.filter((entry) => entry['request_id'] === requestId));
}

function hasCallLine(found: readonly Entry[]): boolean {
  return found.some((entry) => entry['status'] !== undefined);
}

async function importStaged(id: string, headers: Record<string, string> = {}): Promise<Answer> {
  await world.call(`PUT /v2/images/${id}/stage`, { headers: OCTETS, body: diskBytes() });
  return world.call(`POST /v2/images/${id}/import`, { headers, body: { method: { name: 'glance-direct' } } });
}

async function ended(id: string): Promise<unknown> {
  const status = async (): Promise<unknown> => (await world.call(`GET /v2/images/${id}`)).json['status'];
  await expect.poll(status, { timeout: 20_000 }).toMatch(/active|queued/);
  return status();
}

describe('the log', () => {
  test('has a line for each call, without its query and its headers', async () => {
    await serve({ authenticator: HEADER_AUTHENTICATION });
    const headers = { 'x-auth-token': 'tokenOfSomebody', 'x-openstack-request-id': 'req-mine' };
    await world.call('GET /v2/images?name=hidden&token=abc', { as: 'p:member', headers });
    const [line] = await entriesOf('req-mine', hasCallLine);
    expect(line).toMatchObject({
      level: 'info',
      msg: 'GET /v2/images 200',
      method: 'GET',
      path: '/v2/images',
      status: 200,
      project_id: 'p',
      user_id: 'user-of-p',
      client: '127.0.0.1',
      duration_ms: expect.any(Number),
      received_bytes: expect.any(Number),
      sent_bytes: expect.any(Number),
    });
    expect(texts.join('')).not.toMatch(/tokenOfSomebody|hidden|abc/);
  });

  test('counts the bytes of data in both directions', async () => {
    await serve();
    const id = await newImage();
    const bytes = diskBytes();
    const put = await world.call(`PUT /v2/images/${id}/file`, { headers: OCTETS, body: bytes });
    const [upload] = await entriesOf(put.headers.get('x-openstack-request-id'), hasCallLine);
    expect(Number(upload?.['received_bytes'])).toBeGreaterThan(bytes.length);
    expect(Number(upload?.['received_bytes'])).toBeLessThan(bytes.length + 2000);
    const got = await world.call(`GET /v2/images/${id}/file`);
    const [download] = await entriesOf(got.headers.get('x-openstack-request-id'), hasCallLine);
    expect(Number(download?.['sent_bytes'])).toBeGreaterThan(bytes.length);
  });

  test("bears the call's id on the lines of the task that it began, and says how that ended", async () => {
    await serve({ overrides: { 'DEFAULT.debug': 'true' } });
    const id = await newImage();
    await importStaged(id, { 'x-openstack-request-id': 'req-import' });
    expect(await ended(id)).toBe('active');
    const found = await entriesOf('req-import', (all) => all.some((entry) => entry['msg'] === 'import succeeded'));
    const ofTask = found.filter((entry) => entry['task_id'] !== undefined);
    expect(ofTask.map((entry) => entry['stage']).filter(Boolean)).toEqual(
      expect.arrayContaining(['stage', 'inspect', 'verify', 'store', 'activate']),
    );
  });

  test('has what nobody foresaw, and the caller has not', async () => {
    const path = '/srv/very/private/state.db';
    let broken = false;
    await serve({
      intercept: (parts) => ({
        ...parts,
        catalog: {
          ...parts.catalog,
          images: {
            ...parts.catalog.images,
            list: async (query) => {
              if (!broken) return parts.catalog.images.list(query);
              throw new Error(`cannot open ${path} of postgres://glance:hunter22@db/glance`);
            },
          },
        },
      }),
    });
    broken = true;
    for (const accept of ['application/json', 'text/html']) {
      const answer = await world.call('GET /v2/images', { headers: { accept } });
      const id = String(answer.headers.get('x-openstack-request-id'));
      expect(answer.status).toBe(500);
      expect(answer.text).toContain(id);
      expect(answer.text).not.toMatch(/private|cannot open|hunter22|\bat /);
      const found = await entriesOf(id, (all) => all.some((entry) => entry['level'] === 'error'));
      expect(found.find((entry) => entry['level'] === 'error')).toMatchObject({
        route: '/v2/images',
        err: { message: `cannot open ${path} of postgres://***@db/glance`, stack: expect.stringContaining(' at ') },
      });
    }
    expect(texts.join('')).not.toContain('hunter22');
  });
});

describe('/metrics', () => {
  test('counts calls, stages, tasks, stores, space, memory and lag', async () => {
    await serve();
    const id = await newImage();
    await importStaged(id);
    expect(await ended(id)).toBe('active');
    await world.call(`GET /v2/images/${id}/file`);
    const { text, headers } = await world.call('GET /metrics');
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of [
      /^http_server_request_duration_seconds_count\{http_request_method="POST",http_route="\/v2\/images",http_response_status_code="201"\} 1$/m,
      /^http_server_request_duration_seconds_bucket\{.*le="0\.005"\} \d+$/m,
      /^http_server_active_requests 1$/m,
      /^diskmorph_http_received_bytes_total\{http_request_method="PUT",http_route="\/v2\/images\/:imageId\/stage"\} \d{6,}$/m,
      /^diskmorph_stage_duration_seconds_count\{flow="import",stage="verify",outcome="success"\} 1$/m,
      /^diskmorph_tasks_ended_total\{flow="import",outcome="succeeded",code=""\} 1$/m,
      /^diskmorph_store_operation_duration_seconds_count\{store="a",operation="put",outcome="success"\} 1$/m,
      /^diskmorph_store_bytes_total\{store="a",operation="read"\} \d{6,}$/m,
      /^diskmorph_tasks\{state="queued"\} 0$/m,
      /^diskmorph_work_space_free_bytes\{area="uploads"\} \d+$/m,
      /^diskmorph_work_space_used_bytes\{area="work"\} \d+$/m,
      /^diskmorph_store_free_bytes\{store="b"\} \d+$/m,
      /^process_resident_memory_bytes \d+$/m,
      /^process_cpu_seconds_total [\d.]+$/m,
      /^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m,
      /^target_info\{service_name="diskmorph",service_version="0"\} 1$/m,
    ])
      expect(text).toMatch(line);
  });

  test('of the API are for administrators; those of a port of their own for whoever reaches it', async () => {
    await serve({ authenticator: HEADER_AUTHENTICATION, overrides: { 'diskmorph.metrics_bind_port': '0' } });
    expect((await world.call('GET /metrics', { as: 'p:member' })).status).toBe(403);
    expect((await world.call('GET /metrics', { as: 'p:admin' })).status).toBe(200);
    const url = String(entries.find((entry) => String(entry['msg']).startsWith('figures on'))?.['url']);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('process_cpu_seconds_total');
    expect(await (await fetch(`${url}/healthcheck`)).json()).toMatchObject({ ready: true });
    expect((await fetch(`${url}/v2/images`)).status).toBe(404);
  });
});

function never(): Promise<void> {
  return new Promise(() => {});
}

function withSilentStores(parts: RawParts): RawParts {
  const stores = Array.from(parts.stores, ([id, store]) => [id, { ...store, checkReady: never }] as const);
  return { ...parts, stores: new Map(stores) };
}

/** The path of a file that is not there, in a directory that is. */
async function fileOfItsOwn(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'diskmorph-disabled-')), 'disabled');
}

describe('/healthcheck', () => {
  test('a file takes the service out of use, and back', async () => {
    const file = await fileOfItsOwn();
    await serve({ overrides: { 'healthcheck.disable_by_file_path': file } });
    expect((await world.call('GET /healthcheck')).text).toBe('OK');
    expect((await world.call('HEAD /healthcheck')).status).toBe(204);
    await writeFile(file, '');
    expect(await world.call('GET /healthcheck')).toMatchObject({ status: 503, text: 'DISABLED BY FILE\n' });
    expect((await world.call('HEAD /healthcheck')).status).toBe(503);
    expect((await world.call('GET /healthcheck/live')).status).toBe(200);
    await rm(dirname(file), { recursive: true });
    expect((await world.call('GET /healthcheck')).status).toBe(200);
  });

  test('a file for another port does not', async () => {
    const file = await fileOfItsOwn();
    await writeFile(file, '');
    await serve({ overrides: { 'healthcheck.disable_by_file_paths': `1:${file}` } });
    expect((await world.call('GET /healthcheck')).text).toBe('OK');
    await rm(dirname(file), { recursive: true });
  });

  test('a store that does not answer is named after five seconds', async () => {
    await serve({ intercept: withSilentStores });
    expect(await world.call('GET /healthcheck')).toMatchObject({
      status: 503,
      text: expect.stringContaining('store a'),
    });
  });

  test('a store that cannot be filled is named; each check is for administrators', async () => {
    await serve({ authenticator: HEADER_AUTHENTICATION });
    await rm(world.path('store-b'), { recursive: true });
    const fault = 'Nothing can be put into the store b';
    expect(await world.call('GET /healthcheck')).toMatchObject({ status: 503, text: `${fault}\n` });
    const headers = { accept: 'application/json' };
    expect((await world.call('GET /healthcheck', { headers, as: 'p:member' })).text).toBe(`${fault}\n`);
    expect((await world.call('GET /healthcheck', { headers, as: 'p:admin' })).json).toEqual({
      ready: false,
      disabled: false,
      checks: [
        { name: 'database', ok: true },
        { name: 'store a', ok: true },
        { name: 'store b', ok: false, fault },
        { name: 'space for work', ok: true },
        { name: 'space for uploads', ok: true },
      ],
    });
  });
});

/** An upload of which the first half was sent; `finish` sends the rest and gives the status. */
async function halfUpload(id: string): Promise<{ finish(): Promise<number | undefined>; failed: Promise<unknown> }> {
  const bytes = diskBytes();
  const call = request(`${world.url}/v2/images/${id}/file`, { method: 'PUT', headers: OCTETS });
  const answer = once(call, 'response');
  const failed = answer.catch((error: unknown) => error);
  call.write(bytes.subarray(0, bytes.length / 2));
  await expect.poll(async () => (await world.call(`GET /v2/images/${id}`)).json['status']).toBe('saving');
  return {
    failed,
    async finish() {
      call.end(bytes.subarray(bytes.length / 2));
      return ((await answer)[0] as { statusCode?: number }).statusCode;
    },
  };
}

describe('a stop', () => {
  test('lets calls under way end', async () => {
    await serve();
    const id = await newImage();
    const upload = await halfUpload(id);
    const stopped = world.restart();
    expect(await upload.finish()).toBe(204);
    await stopped;
    expect((await world.call(`GET /v2/images/${id}`)).json['status']).toBe('active');
  });

  test('cuts off what has not ended in time; the image is as before', async () => {
    await serve({ overrides: { 'DEFAULT.graceful_shutdown_timeout': '1' } });
    const id = await newImage();
    const upload = await halfUpload(id);
    await world.restart();
    expect(await upload.failed).toBeInstanceOf(Error);
    expect((await world.call(`GET /v2/images/${id}`)).json['status']).toBe('queued');
    expect(texts.join('')).toContain('calls that had not ended after 1 seconds were cut off');
  });
});

/** OTLP over HTTP as JSON: opentelemetry-proto, trace.proto, and the specification, "JSON Protobuf Encoding". */
const OTLP = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({
        attributes: z.array(z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) })),
      }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string().regex(/^[0-9a-f]{32}$/),
              spanId: z.string().regex(/^[0-9a-f]{16}$/),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number().int().min(1).max(5),
              startTimeUnixNano: z.string().regex(/^\d+$/),
              endTimeUnixNano: z.string().regex(/^\d+$/),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** What a collector of OpenTelemetry is to its senders; one that runs is in no package here. */
async function startCollector(): Promise<{ readonly url: string; readonly exports: readonly string[]; close(): void }> {
  const exports: string[] = [];
  const collector = createServer((call, answer) => {
    void (async () => {
      const body = await text(call);
      const good = call.url === '/v1/traces' && call.headers['content-type'] === 'application/json';
      if (good) exports.push(body);
      answer.writeHead(good ? 200 : 400, { 'content-type': 'application/json' }).end('{}');
    })();
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const { port } = collector.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, exports, close: () => void collector.close() };
}

describe('traces', () => {
  test('go where the environment says: a span for each call, step and use of a store, with their parents', async () => {
    const collector = await startCollector();
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
    process.env['OTEL_RESOURCE_ATTRIBUTES'] = 'deployment.environment=lab';
    try {
      await serve({ environment: process.env });
      const id = await newImage();
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      await world.call(`GET /v2/images/${id}`, { headers: { traceparent } });
      await importStaged(id);
      expect(await ended(id)).toBe('active');
      await world.restart();
    } finally {
      delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
      delete process.env['OTEL_RESOURCE_ATTRIBUTES'];
      collector.close();
    }
    const resources = collector.exports.flatMap((sent) => OTLP.parse(JSON.parse(sent)).resourceSpans);
    for (const { resource } of resources) {
      const attributes = resource.attributes.map(({ key, value }) => `${key}=${value.stringValue}`);
      expect(attributes).toEqual(expect.arrayContaining(['service.name=diskmorph', 'deployment.environment=lab']));
    }
    const spans = resources.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
    const named = (name: string): (typeof spans)[number] | undefined => spans.find((span) => span.name === name);
    expect(named('GET /v2/images/:imageId')).toMatchObject({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
    });
    const call = spans.find((span) => span.name === 'POST /v2/images/:imageId/import');
    expect(spans.filter(({ name }) => name.startsWith('import ')).length).toBeGreaterThan(3);
    expect(named('import verify')?.traceId).toBe(call?.traceId);
    expect(named('store put')?.parentSpanId).toBe(named('import store')?.spanId);
  });
});
