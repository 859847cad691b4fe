/** The acceptance statements of the convert flow as its own entry point shows them: `POST /v2/tasks`, from a web address. */
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { ImageError } from '@diskmorph/disk-image';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigurationError } from '../src/config/problem.ts';
import type { ApiWorld, ApiWorldOptions } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { TO_QCOW2, TO_RAW, withBrokenStore, withTools } from './import-cases.ts';
import { diskBytes, isoBytes, qemuImg, sha512 } from './world.ts';

/** How a file is announced and sent; the whole file with its length when absent. */
interface Sending {
  readonly announced?: number;
  readonly sent?: number;
  readonly redirect?: string;
}

let world: ApiWorld;
let web: Server;
let origin: string;
let sending: Sending;
/** What was logged. */
let lines: string[];

beforeEach(async () => {
  sending = {};
  lines = [];
  web = createServer((request, response) => {
    if (sending.redirect !== undefined && request.url === '/start') {
      response.writeHead(302, { location: sending.redirect }).end();
      return;
    }
    void readFile(world.path(basename(request.url ?? ''))).then((file) => {
      const length = sending.announced ?? file.length;
      response.writeHead(200, { 'content-length': length });
      const part = file.subarray(0, sending.sent ?? file.length);
      if (part.length < length) response.write(part, () => response.destroy());
      else response.end(part.subarray(0, length));
    });
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await world.remove();
  web.closeAllConnections();
  web.close();
});

/** A service with `disk.raw` and `disk.qcow2` on the web. */
async function serve(overrides: Readonly<Record<string, string>>, more: ApiWorldOptions = {}): Promise<void> {
  world = await makeApiWorld({
    log: (message) => void lines.push(message),
    ...more,
    overrides: {
      'import_filtering_opts.allowed_import_ports': String((web.address() as AddressInfo).port),
      'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
      ...overrides,
    },
  });
  await writeFile(world.path('disk.raw'), diskBytes());
  await qemuImg('convert', '-O', 'qcow2', '-c', world.path('disk.raw'), world.path('disk.qcow2'));
}

interface Ended {
  readonly task: Record<string, unknown>;
  readonly image: Record<string, unknown>;
}

/** What becomes of a task that imports the file as `format`. */
async function imported(
  file: string,
  format: string,
  properties: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const input = {
    import_from: `${origin}/${file}`,
    import_from_format: format,
    image_properties: { name: 'n', disk_format: format, container_format: 'bare', ...properties },
  };
  const made = await world.call('POST /v2/tasks', { body: { type: 'import', input } });
  expect(made.status, made.text).toBe(201);
  const path = made.headers.get('location') ?? '';
  await world.call(`GET ${path}/events`);
  const task = (await world.call(`GET ${path}`)).json;
  return { task, image: (await world.call(`GET /v2/images/${String(task['image_id'])}`)).json };
}

/** Where the image lies. */
async function stored(image: Record<string, unknown>): Promise<string> {
  const name = (await world.files()).find((file) => file.startsWith(`store-a/${String(image['id'])}`));
  return world.path(name ?? 'nowhere');
}

/** Gives the code; fails the test unless the import failed for this reason and left nothing but the record, as it was made. */
async function undone({ task, image }: Ended, code: string): Promise<string> {
  expect(task).toMatchObject({ status: 'failure', error_code: code });
  expect(image).toMatchObject({
    name: 'n',
    status: 'queued',
    size: null,
    virtual_size: null,
    checksum: null,
    os_hash_value: null,
    os_glance_failed_import: 'a',
    os_glance_import_error: expect.stringContaining(code),
  });
  for (const gone of ['stores', 'source_format', 'os_glance_import_task', 'os_glance_importing_to_stores']) {
    expect(image).not.toHaveProperty(gone);
  }
  expect(await world.files()).toEqual([]);
  return code;
}

async function brokenInspector(): Promise<never> {
  throw new Error('a bug');
}

test('1: the declared format is the one that is read', async () => {
  const sources: string[] = [];
  await serve(TO_QCOW2, {
    intercept: (parts) => ({
      ...parts,
      tools: {
        ...parts.tools,
        convert(conversion, work) {
          sources.push(conversion.source.format);
          return parts.tools.convert(conversion, work);
        },
      },
    }),
  });
  expect((await imported('disk.raw', 'raw')).task).toMatchObject({ status: 'success' });
  expect(sources).toEqual(['raw']);
});

test('2, 13: a store that fails after the conversion', async () => {
  await serve(TO_QCOW2, { intercept: withBrokenStore('a') });
  expect(await undone(await imported('disk.raw', 'raw'), 'io')).toBe('io');
});

test('3: the conversion fails: its reason is what the user sees', async () => {
  await serve(TO_QCOW2, {
    intercept: (parts) => ({
      ...parts,
      tools: {
        ...parts.tools,
        async convert(conversion, work) {
          await parts.tools.convert(conversion, work);
          throw new ImageError('corrupt', 'An L2 table is damaged');
        },
      },
    }),
  });
  const ended = await imported('disk.raw', 'raw');
  await undone(ended, 'corrupt');
  expect(ended.task['message']).toBe('An L2 table is damaged');
});

test('3: what ends too early is never filled up with zeros', async () => {
  await serve(TO_RAW);
  const whole = await readFile(world.path('disk.qcow2'));
  await writeFile(world.path('disk.qcow2'), whole.subarray(0, whole.length - 70_000));
  expect(await undone(await imported('disk.qcow2', 'qcow2'), 'unsafe_image')).toBe('unsafe_image');
});

test('4: without a format images pass as they are, with one warning', async () => {
  await serve({});
  for (const turn of [1, 2]) {
    const { task, image } = await imported('disk.qcow2', 'qcow2');
    expect(task, String(turn)).toMatchObject({
      status: 'success',
      message: 'not converted: conversion_format is not set',
    });
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2' });
    expect((await readFile(await stored(image))).equals(await readFile(world.path('disk.qcow2')))).toBe(true);
  }
  expect(lines.filter((line) => line.startsWith('The conversion format is None'))).toHaveLength(1);
});

test.each([
  {
    statement: 5,
    overrides: { 'taskflow_executor.conversion_format': 'vhdx' },
    problem: {
      section: 'taskflow_executor',
      option: 'conversion_format',
      value: 'vhdx',
      choices: ['qcow2', 'raw', 'vmdk'],
    },
  },
  {
    statement: 6,
    overrides: { 'os_glance_tasks_store.filesystem_store_datadir': '/nowhere/at/all' },
    problem: { section: 'os_glance_tasks_store', option: 'filesystem_store_datadir', value: '/nowhere/at/all' },
  },
])('$statement: a wrong [$problem.section] $problem.option stops the start', async ({ overrides, problem }) => {
  await serve(TO_RAW);
  const error = await makeApiWorld({ overrides }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigurationError);
  expect((error as ConfigurationError).problems).toMatchObject([problem]);
});

test('7: an image in the wanted format is not rewritten', async () => {
  await serve(TO_QCOW2);
  const { task, image } = await imported('disk.qcow2', 'qcow2');
  expect(task).toMatchObject({ status: 'success', message: 'not converted: the image is qcow2 already' });
  expect(image).toMatchObject({ virtual_size: (await stat(world.path('disk.raw'))).size });
  expect(image['os_hash_value']).toBe(await sha512(world.path('disk.qcow2')));
});

test('8: raw becomes qcow2, with everything that is to be known of it', async () => {
  await serve(TO_QCOW2);
  const { image } = await imported('disk.raw', 'raw');
  const path = await stored(image);
  expect(image).toMatchObject({
    status: 'active',
    disk_format: 'qcow2',
    container_format: 'bare',
    size: (await stat(path)).size,
    virtual_size: (await stat(world.path('disk.raw'))).size,
    os_hash_value: await sha512(path),
    source_format: 'raw',
    source_size: String((await stat(world.path('disk.raw'))).size),
    source_hash: `sha512:${await sha512(world.path('disk.raw'))}`,
  });
  expect(await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', world.path('disk.raw'), path)).toContain('identical');
  const forged = [{ op: 'replace', path: '/source_hash', value: 'sha512:0' }];
  const headers = { 'content-type': 'application/openstack-images-v2.1-json-patch' };
  const patched = await world.call(`PATCH /v2/images/${String(image['id'])}`, {
    body: JSON.stringify(forged),
    headers,
  });
  expect(patched.status).toBe(403);
  expect((await world.call('POST /v2/images', { body: { source_format: 'raw' } })).status).toBe(403);
});

describe('9 to 12: what comes is held against what was said', () => {
  test('9: an ISO stays one', async () => {
    await serve(TO_RAW);
    await writeFile(world.path('disk.iso'), isoBytes());
    expect((await imported('disk.iso', 'iso')).image).toMatchObject({ status: 'active', disk_format: 'iso' });
  });

  test.each([
    { what: '9: an ISO declared as raw', make: () => writeFile(world.path('x'), isoBytes()), format: 'raw' },
    {
      what: '9: an ISO declared as qcow2',
      make: () => writeFile(world.path('x'), isoBytes()),
      format: 'qcow2',
    },
    {
      what: '11: a qcow2 declared as raw',
      make: () => qemuImg('convert', '-O', 'qcow2', world.path('disk.raw'), world.path('x')),
      format: 'raw',
      says: 'Image format mismatch: declared as raw, but the content is qcow2',
    },
    {
      what: '10: a backing file',
      make: () => qemuImg('create', '-f', 'qcow2', '-b', world.path('disk.raw'), '-F', 'raw', world.path('x')),
      format: 'qcow2',
      code: 'unsafe_image',
    },
    {
      what: '10: a data file',
      make: () => qemuImg('create', '-f', 'qcow2', '-o', `data_file=${world.path('d')}`, world.path('x'), '1M'),
      format: 'qcow2',
      code: 'unsafe_image',
    },
    {
      what: '10: a VMDK of a type that is not allowed',
      make: () => qemuImg('convert', '-O', 'vmdk', world.path('disk.raw'), world.path('x')),
      format: 'vmdk',
      code: 'unsafe_image',
      overrides: { 'image_format.vmdk_allowed_types': '' },
    },
    {
      what: '12: an image inside the image',
      make: async () => {
        await qemuImg(
          'convert',
          '-O',
          'vmdk',
          '-o',
          'subformat=streamOptimized',
          world.path('disk.raw'),
          world.path('y'),
        );
        await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', world.path('y'), world.path('x'));
      },
      format: 'qcow2',
      code: 'unsafe_image',
    },
  ])('$what is refused, the record unchanged, nothing stored', async (refusal) => {
    const { make, format, code = 'format_mismatch', says = '', overrides = {} } = refusal;
    await serve({ ...TO_RAW, ...overrides });
    await make();
    const ended = await imported('x', format);
    await undone(ended, code);
    expect(ended.task['message']).toContain(says);
    expect(ended.image['disk_format']).toBe(format);
  });

  test('11: an inspector that fails', async () => {
    await serve(TO_RAW, { intercept: withTools({ inspect: brokenInspector }) });
    expect(await undone(await imported('disk.qcow2', 'qcow2'), 'unsafe_image')).toBe('unsafe_image');
  });
});

test('14: a store that fails is recorded, and the import goes on', async () => {
  await serve(TO_QCOW2, { intercept: withBrokenStore('b') });
  const body = { disk_format: 'raw', container_format: 'bare' };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  const method = { name: 'web-download', uri: `${origin}/disk.raw` };
  const wish = { method, stores: ['a', 'b'], all_stores_must_succeed: false };
  const answer = await world.call(`POST /v2/images/${id}/import`, { body: wish });
  await world.call(`GET ${answer.headers.get('location')}/events`);
  const image = (await world.call(`GET /v2/images/${id}`)).json;
  expect(image).toMatchObject({ status: 'active', stores: 'a', os_glance_failed_import: 'b' });
});

describe('15: what is downloaded', () => {
  test.each([
    { what: 'fewer bytes than were announced', sends: { sent: 1000 }, code: 'download_failed' },
    { what: 'more bytes were announced than there are', sends: { announced: 10_000_000 }, code: 'download_failed' },
    { what: 'more than is accepted', sends: { announced: 2 ** 41, sent: 1000 }, code: 'too_large' },
  ])('$what: the import fails', async ({ sends, code }) => {
    await serve(TO_QCOW2);
    sending = sends;
    expect(await undone(await imported('disk.raw', 'raw'), code)).toBe(code);
  });

  test.each([
    { to: 'http://127.0.0.2/x', why: 'an address that is not allowed' },
    { to: 'http://169.254.169.254/latest/meta-data', why: 'the local link' },
    { to: 'http://[::ffff:127.0.0.2]/x', why: 'the same in other words' },
    { to: 'file:///etc/passwd', why: 'another scheme' },
    { to: 'http://127.0.0.1:1/x', why: 'a port that is not allowed' },
    { to: 'http://user:secret@127.0.0.1/x', why: 'credentials' },
  ])('a redirect to $why is refused', async ({ to }) => {
    await serve(TO_QCOW2);
    sending = { redirect: to };
    const ended = await imported('start', 'raw');
    await undone(ended, 'blocked_address');
    expect(JSON.stringify(ended)).not.toContain('secret');
  });

  test('a redirect to what is allowed is followed; where it led is nobody’s business', async () => {
    await serve(TO_QCOW2);
    sending = { redirect: '/disk.raw' };
    const { image } = await imported('start', 'raw');
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2' });
    expect(image).not.toHaveProperty('source_host');
  });
});

test('16, 17: stopped in the conversion and started again, the import goes on; nothing is left over', async () => {
  const reached = Promise.withResolvers<void>();
  let first = true;
  await serve(TO_QCOW2, {
    intercept: (parts) => ({
      ...parts,
      tools: {
        ...parts.tools,
        async convert(conversion, work) {
          if (!first) return parts.tools.convert(conversion, work);
          first = false;
          reached.resolve();
          await new Promise((_resolve, reject) =>
            work.signal?.addEventListener('abort', () => reject(new Error('stopped'))),
          );
          throw new Error('stopped');
        },
      },
    }),
  });
  const input = {
    import_from: `${origin}/disk.raw`,
    import_from_format: 'raw',
    image_properties: { disk_format: 'raw', container_format: 'bare' },
  };
  const made = await world.call('POST /v2/tasks', { body: { type: 'import', input } });
  await reached.promise;
  await world.restart();
  const path = made.headers.get('location') ?? '';
  await world.call(`GET ${path}/events`);
  const task = (await world.call(`GET ${path}`)).json;
  expect(task).toMatchObject({ status: 'success' });
  const image = (await world.call(`GET /v2/images/${String(task['image_id'])}`)).json;
  expect(await sha512(await stored(image))).toBe(image['os_hash_value']);
  expect(await world.files()).toHaveLength(1);
});
