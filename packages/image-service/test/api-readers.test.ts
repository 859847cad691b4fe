import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { isolatedImageTools } from '../src/import/readers/isolated-tools.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

const tools = isolatedImageTools(nodeImageTools(1), {
  memoryBytes: 128 * 2 ** 20,
  threads: 1,
  patienceMs: 10_000,
  log: () => {},
  entry: join(import.meta.dirname, 'planted-reader-worker.ts'),
});
let world: ApiWorld;

beforeAll(async () => {
  world = await makeApiWorld({
    intercept: (parts) => ({ ...parts, tools }),
    overrides: { 'diskmorph.no_progress_timeout': '8' },
  });
});
afterAll(async () => {
  await world.remove();
  await tools.close();
});

async function uploaded(
  what: string,
): Promise<{ readonly id: string; readonly status: number; readonly text: string }> {
  const body = { disk_format: 'raw', container_format: 'bare' };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  const data = Buffer.alloc(3 * 2 ** 20, 'bytes');
  data.write(`${what}\0`);
  const headers = { 'content-type': 'application/octet-stream', accept: 'application/json' };
  const { status, text } = await world.call(`PUT /v2/images/${id}/file`, { body: data, headers });
  return { id, status, text };
}

test.each([
  { what: 'hang', code: 'reader_hung' },
  { what: 'crash', code: 'reader_died' },
  { what: 'bytes bomb', code: 'reader_out_of_memory' },
])('an upload whose parser does this: $what; is refused with a reason, others go on', async ({ what, code }) => {
  const [bad, good] = await Promise.all([uploaded(what), uploaded('nothing')]);
  expect(bad).toMatchObject({ status: 400, text: expect.stringContaining(code) });
  expect(good.status).toBe(204);
  expect((await world.call(`GET /v2/images/${bad.id}`)).json).toMatchObject({
    status: 'queued',
    os_glance_import_error: expect.stringMatching(new RegExp(`^${code}: `)),
  });
  expect((await world.files()).filter((path) => path.includes(bad.id))).toEqual([]);
});

interface Download {
  readonly status: number;
  readonly text: string;
  /** Did all of it come? */
  readonly whole: boolean;
}

async function download(id: string, format: string): Promise<Download> {
  const headers = { accept: 'application/json' };
  const response = await fetch(`${world.url}/v2/images/${id}/file?format=${format}`, { headers });
  const { status } = response;
  return response.text().then(
    (text) => ({ status, text, whole: true }),
    () => ({ status, text: '', whole: false }),
  );
}

describe('a download in another format whose parser goes wrong fails alone', () => {
  test.each([
    { what: 'opening hang', code: 'reader_hung' },
    { what: 'opening segfault', code: 'reader_died' },
  ])('with a reason before the first byte: $what', async ({ what, code }) => {
    const [bad, good] = [await uploaded(what), await uploaded('nothing')];
    const [failed, whole] = await Promise.all([download(bad.id, 'vmdk'), download(good.id, 'vmdk')]);
    expect(failed).toMatchObject({ status: 400, text: expect.stringContaining(`"error_code":"${code}"`) });
    expect(whole).toMatchObject({ status: 200, whole: true });
  });

  test('without an end afterwards', async () => {
    const { id } = await uploaded('sending crash');
    expect(await download(id, 'vdi')).toMatchObject({ status: 200, whole: false });
    expect((await world.call(`GET /v2/images/${id}`)).json).toMatchObject({ status: 'active' });
  });
});
