import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { loadConfiguration } from '../src/config/load.ts';
import { ConfigurationError } from '../src/config/problem.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

const PLUGINS = 'image_import_opts.image_import_plugins';
const bytes = diskBytes();
const packed = gzipSync(bytes);

let world: ApiWorld | undefined;
afterEach(async () => {
  await world?.remove();
  world = undefined;
});

/** What becomes of an image whose packed data is imported: its document, and its task. */
async function imported(
  overrides: Readonly<Record<string, string>>,
  { data = packed, ...more }: { readonly data?: Uint8Array; readonly [field: string]: unknown } = {},
): Promise<{ readonly image: Record<string, unknown>; readonly task: Record<string, unknown>; readonly file: Buffer }> {
  const served = await makeApiWorld({ overrides });
  world = served;
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  const id = String((await served.call('POST /v2/images', { body })).json['id']);
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await served.call(`PUT /v2/images/${id}/stage`, { body: data, headers })).status).toBe(204);
  const answer = await served.call(`POST /v2/images/${id}/import`, { body: { method: { name: 'glance-direct' } } });
  expect(answer.status, answer.text).toBe(202);
  const taskPath = answer.headers.get('location') ?? '';
  await served.call(`GET ${taskPath}/events`);
  const file = await fetch(`${served.url}/v2/images/${id}/file`);
  return {
    image: (await served.call(`GET /v2/images/${id}`)).json,
    task: (await served.call(`GET ${taskPath}`)).json,
    file: Buffer.from(await file.arrayBuffer()),
  };
}

describe('image_decompression', () => {
  test('takes an image out of its container, before it is converted; what came is kept', async () => {
    const overrides = {
      [PLUGINS]: '[image_decompression, image_conversion]',
      'image_conversion.output_format': 'qcow2',
    };
    const { image, task } = await imported(overrides);
    expect(task).toMatchObject({ status: 'success' });
    expect(image).toMatchObject({
      status: 'active',
      disk_format: 'qcow2',
      virtual_size: bytes.length,
      source_format: 'raw',
      source_size: String(packed.length),
      source_hash: `sha512:${createHash('sha512').update(packed).digest('hex')}`,
    });
  });

  test('alone stores what was in the container', async () => {
    const { image, file } = await imported({ [PLUGINS]: '[image_decompression]' });
    expect(image).toMatchObject({ status: 'active', size: bytes.length, source_size: String(packed.length) });
    expect(file.equals(bytes)).toBe(true);
  });

  test('lets pass what is in no container', async () => {
    const { image, file } = await imported({ [PLUGINS]: '[image_decompression]' }, { data: bytes });
    expect(image).not.toHaveProperty('source_size');
    expect(file.equals(bytes)).toBe(true);
  });

  test.each([
    { container_format: 'compressed', disk_format: 'raw' },
    { container_format: 'bare', disk_format: 'ari' },
  ])('leaves an image alone that is meant to be packed: $container_format, $disk_format', async (formats) => {
    const { image, file } = await imported({ [PLUGINS]: '[image_decompression]' }, formats);
    expect(image).toMatchObject({ status: 'active', ...formats });
    expect(file.equals(packed)).toBe(true);
  });

  test('is not enabled, and what is packed stays so', async () => {
    const { file } = await imported({});
    expect(file.equals(packed)).toBe(true);
  });

  test('after image_conversion it comes too late: a packed qcow2 is none', async () => {
    const { image, task } = await imported(
      { [PLUGINS]: '[image_conversion, image_decompression]' },
      { disk_format: 'qcow2' },
    );
    expect(task).toMatchObject({ status: 'failure', error_code: 'format_mismatch' });
    expect(image).toMatchObject({ status: 'queued' });
  });

  test.each([
    { limit: 'image_decompression.max_size', value: '100K', data: packed },
    { limit: 'image_decompression.max_ratio', value: '100', data: gzipSync(Buffer.alloc(300 * 2 ** 20), { level: 1 }) },
  ])('$limit bounds what comes out', async ({ limit, value, data }) => {
    const { image, task } = await imported({ [PLUGINS]: '[image_decompression]', [limit]: value }, { data });
    expect(task).toMatchObject({ status: 'failure', error_code: 'unsafe' });
    expect(image).toMatchObject({ status: 'queued', size: null });
    expect(await world?.files()).toEqual([]);
  });

  test('a container that is damaged fails the import', async () => {
    const data = Buffer.from(packed);
    data[data.length - 20] = (data[data.length - 20] ?? 0) ^ 255;
    const { image, task } = await imported({ [PLUGINS]: '[image_decompression]' }, { data });
    expect(task).toMatchObject({ status: 'failure', error_code: 'corrupt' });
    expect(image).toMatchObject({ status: 'queued' });
    expect(await world?.files()).toEqual([]);
  });
});

describe('inject_image_metadata', () => {
  const INJECT = {
    [PLUGINS]: '[inject_image_metadata]',
    'inject_metadata_properties.inject': 'managed_by:images,os:mine',
    'inject_metadata_properties.ignore_user_roles': 'nobody',
  };

  test('gives properties, over those of the same name', async () => {
    const { image } = await imported(INJECT, { os: 'theirs', own: 'kept' });
    expect(image).toMatchObject({ status: 'active', managed_by: 'images', os: 'mine', own: 'kept' });
  });

  test('gives none to an image whose import fails', async () => {
    const { image } = await imported(INJECT, { disk_format: 'qcow2', os: 'theirs' });
    expect(image).toMatchObject({ status: 'queued', os: 'theirs' });
    expect(image).not.toHaveProperty('managed_by');
  });
});

test.each([
  { option: PLUGINS, value: '[image_conversion, frobnicate]', message: 'frobnicate' },
  { option: 'DEFAULT.enabled_import_methods', value: '[carrier-pigeon]', message: 'carrier-pigeon' },
])('$value stops the start', ({ option, value, message }) => {
  const files = [{ name: 'x.conf', text: '[task]\nwork_dir=/w\n[glance_store]\nfilesystem_store_datadir=/s\n' }];
  const load = (): unknown =>
    loadConfiguration({
      files,
      environment: {},
      overrides: { [option]: value, 'diskmorph.state_database': 'sqlite:/d' },
    });
  expect(load).toThrow(ConfigurationError);
  expect(load).toThrow(message);
});

test('certificates for other image services that cannot be read stop the start', async () => {
  const overrides = { 'glance_download.ca_certificates_file': '/nowhere/at/all.pem' };
  await expect(makeApiWorld({ overrides })).rejects.toMatchObject({
    problems: [{ section: 'glance_download', option: 'ca_certificates_file', message: 'the file cannot be read' }],
  });
});
