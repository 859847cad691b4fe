import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { convertFile } from '@diskmorph/disk-image-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { isolatedImageTools } from '../src/import/readers/isolated-tools.ts';
import type { ApiWorld } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';
import { openPlans } from './open-plans.ts';
import { diskBytes, isoBytes, qemuImg } from './world.ts';

const AS = 'p:member';
const OCTETS = { 'content-type': 'application/octet-stream' };
const bytes = Buffer.concat([
  diskBytes(),
  Buffer.alloc(2 ** 21),
  Buffer.alloc(200_000, 'some text '),
  Buffer.alloc(96),
]);
let world: ApiWorld;
let qcow2: Buffer;
/** An image that is stored as a compressed qcow2. */
let imageId: string;

/** As the service has them: images are read apart. */
const tools = isolatedImageTools(nodeImageTools(1), {
  memoryBytes: 256 * 2 ** 20,
  threads: 1,
  patienceMs: 20_000,
  log: () => {},
});

beforeAll(async () => {
  world = await makeApiWorld({
    intercept: (parts) => ({ ...parts, tools }),
    authenticator: HEADER_AUTHENTICATION,
    overrides: { 'diskmorph.max_converted_downloads': '1', 'diskmorph.replaced_data_grace': '0' },
  });
  await writeFile(world.path('source.raw'), bytes);
  await qemuImg('convert', '-O', 'qcow2', '-c', world.path('source.raw'), world.path('source.qcow2'));
  qcow2 = await readFile(world.path('source.qcow2'));
  imageId = await uploaded(qcow2, { disk_format: 'qcow2' });
});
afterAll(async () => {
  await world.remove();
  await tools.close();
});

async function uploaded(data: Uint8Array, more: Record<string, unknown> = {}): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare', ...more };
  const id = String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
  const put = await world.call(`PUT /v2/images/${id}/file`, { body: data, headers: OCTETS, as: AS });
  expect(put).toMatchObject({ status: 204 });
  return id;
}

interface Download {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

async function download(query: string, headers: Record<string, string> = {}, id = imageId): Promise<Download> {
  const response = await fetch(`${world.url}/v2/images/${id}/file?${query}`, {
    headers: { 'x-test-caller': AS, ...headers },
  });
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

/** A download of which nothing but the beginning is taken. */
async function begun(query: string, id: string): Promise<IncomingMessage> {
  const call = request(`${world.url}/v2/images/${id}/file?${query}`, { headers: { 'x-test-caller': AS } });
  call.on('error', () => {});
  const [response] = (await once(call.end(), 'response')) as [IncomingMessage];
  return response;
}

const CASES: readonly (readonly [string, string, string])[] = [
  ['format=raw', 'raw', 'raw'],
  ['format=qcow2&compression=none', 'qcow2', 'qcow2'],
  ['format=qcow2&compression=zstd&cluster_size=128k', 'qcow2', 'qcow2'],
  ['format=vmdk', 'vmdk', 'vmdk'],
  ['format=vmdk&subformat=streamOptimized', 'vmdk', 'vmdk'],
  ['format=vpc', 'vhd', 'vpc'],
  ['format=vhd&subformat=fixed', 'vhd', 'vpc'],
  ['format=vhdx', 'vhdx', 'vhdx'],
  ['format=vdi', 'vdi', 'vdi'],
];

describe.each(CASES)('%s', (query, format, qemuName) => {
  test('has a length, a tag, and the bytes that a conversion writes', async () => {
    const answer = await download(query);
    expect(answer.status, answer.body.subarray(0, 500).toString()).toBe(200);
    const options = Object.fromEntries([...new URLSearchParams(query)].filter(([name]) => name !== 'format'));
    const path = world.path(`${imageId}.${format}`);
    await convertFile({
      source: { path: world.path('source.qcow2'), format: 'qcow2' },
      target: { path, format, options },
      overwrite: true,
    });
    const written = await readFile(path);
    expect(answer.headers.get('content-length')).toBe(String(written.length));
    expect(answer.headers.get('accept-ranges')).toBe('bytes');
    expect(answer.body.equals(written)).toBe(true);
    await writeFile(path, answer.body);
    await qemuImg('compare', '-f', 'raw', '-F', qemuName, world.path('source.raw'), path);
    if (['qcow2', 'vmdk', 'vhdx', 'vdi'].includes(qemuName)) await qemuImg('check', '-f', qemuName, path);
    const etag = answer.headers.get('etag') ?? '';
    for (const [first, last] of [
      [0, 0],
      [written.length - 700, written.length - 1],
      [65_000, 140_000],
    ] as const) {
      const part = await download(query, { range: `bytes=${first}-${last}`, 'if-range': etag });
      expect(part.status).toBe(206);
      expect(part.headers.get('content-range')).toBe(`bytes ${first}-${last}/${written.length}`);
      expect(part.headers.get('etag')).toBe(etag);
      expect(part.body.equals(written.subarray(first, last + 1))).toBe(true);
    }
  });
});

test('is what is stored, where that has the format already', async () => {
  const answer = await download('format=qcow2');
  expect(answer.body.equals(qcow2)).toBe(true);
  const plain = await download('');
  expect(answer.headers.get('content-md5')).toBe(plain.headers.get('content-md5'));
  expect(answer.headers.get('etag')).toBe(plain.headers.get('etag'));
});

test('a range of what is another file now is the whole of it; one behind the end is refused', async () => {
  const other = await download('format=vdi', { range: 'bytes=0-9', 'if-range': '"another"' });
  expect(other.status).toBe(200);
  const behind = await download('format=vdi', { range: `bytes=${2 ** 40}-` });
  expect(behind.status).toBe(416);
  expect(behind.headers.get('content-range')).toBe(`bytes */${other.body.length}`);
  const last = await download('format=vdi', { range: 'bytes=-5' });
  expect(last.body.equals(other.body.subarray(-5))).toBe(true);
});

test.each([
  ['format=iso', 'is no format'],
  ['format=', 'is no format'],
  ['format=ploop', 'cannot be written'],
  ['format=raw&subformat=x', 'no option "subformat"'],
  ['format=qcow2&cluster_size=3', 'cluster_size'],
  ['format=qcow2&cluster_size=64k&cluster_size=128k', 'only once'],
  ['format=vmdk&subformat=monolithicFlat', 'several files'],
  ['format=qcow2&data_file=%2Fetc%2Fpasswd', ''],
])('%s is refused', async (query, why) => {
  const answer = await download(query);
  expect(answer.status).toBe(400);
  expect(answer.body.toString()).toContain(why.replaceAll('"', '&quot;'));
});

test('what is no disk image is refused, and an image without data has none', async () => {
  const iso = await uploaded(isoBytes(), { disk_format: 'iso' });
  expect((await download('format=raw', {}, iso)).status).toBe(400);
  const packed = await uploaded(Buffer.from('x'), { container_format: 'ova' });
  expect((await download('format=qcow2', {}, packed)).status).toBe(400);
  const body = { disk_format: 'raw', container_format: 'bare' };
  const empty = String((await world.call('POST /v2/images', { body, as: AS })).json['id']);
  expect((await download('format=qcow2', {}, empty)).status).toBe(204);
});

test('those who may not download an image may not do it in another format', async () => {
  const line = `GET /v2/images/${imageId}/file?format=vdi`;
  expect((await world.call(line, { as: 'q:member' })).status).toBe(404);
  expect((await world.call(line, { as: 'p:reader' })).status).toBe(403);
});

describe('while one is under way', () => {
  const large = Buffer.concat([randomBytes(48 * 2 ** 20), Buffer.alloc(2 ** 20)]);

  test('no more than allowed run; when its caller leaves, its place is free', async () => {
    const id = await uploaded(large);
    const response = await begun('format=vdi', id);
    const other = await download('format=vmdk');
    expect(other.status).toBe(503);
    expect(other.headers.get('retry-after')).toBe('10');
    response.destroy();
    await vi.waitFor(async () => expect((await download('format=vmdk')).status).toBe(200), { timeout: 10_000 });
  });

  test('a caller that leaves before the first byte leaves nothing behind', async () => {
    const id = await uploaded(large);
    const before = await openPlans(`${world.dir}/work`);
    const call = request(`${world.url}/v2/images/${id}/file?format=vhdx`, { headers: { 'x-test-caller': AS } }).end();
    call.on('error', () => {});
    await vi.waitFor(async () => expect(await openPlans(`${world.dir}/work`)).toBe(before + 1), {
      timeout: 10_000,
      interval: 1,
    });
    call.destroy();
    await vi.waitFor(async () => expect(await openPlans(`${world.dir}/work`)).toBe(before), { timeout: 10_000 });
    await vi.waitFor(async () => expect((await download('format=vmdk')).status).toBe(200), { timeout: 10_000 });
    expect((await readdir(`${world.dir}/work`)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('stored data that fails in the middle breaks the connection: nothing looks whole that is not', async () => {
    const id = await uploaded(large);
    const response = await begun('format=vdi', id);
    const name = (await readdir(`${world.dir}/store-a`)).find((each) => each.startsWith(id));
    await truncate(world.storePath('a', name ?? ''), 2 ** 20);
    let received = 0;
    const end = new Promise<string>((resolve) => {
      response.on('data', (piece: Buffer) => (received += piece.length));
      response.on('end', () => resolve('a clean end'));
      response.on('error', () => resolve('broken'));
    });
    expect(await end).toBe('broken');
    expect(received).toBeLessThan(Number(response.headers['content-length']));
    await vi.waitFor(async () => expect((await download('format=vmdk')).status).toBe(200), { timeout: 10_000 });
  });

  test('the bytes that it reads stay, although the image is converted in place', async () => {
    const id = await uploaded(large);
    const response = await begun('format=vhdx', id);
    const answer = await world.call(`POST /v2/images/${id}/actions/convert`, { body: { format: 'qcow2' }, as: AS });
    await world.call(`GET /v2/tasks/${String(answer.json['id'])}/events`, { as: AS });
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece as Buffer);
    const path = world.path('while.vhdx');
    await writeFile(path, Buffer.concat(pieces));
    await writeFile(world.path('while.raw'), large);
    await qemuImg('compare', '-f', 'raw', '-F', 'vhdx', world.path('while.raw'), path);
    const stored = async (): Promise<readonly string[]> =>
      (await readdir(`${world.dir}/store-a`)).filter((name) => name.startsWith(id));
    await vi.waitFor(async () => expect(await stored()).toHaveLength(1), { timeout: 10_000 });
  });
});
