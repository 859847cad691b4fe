import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { isolatedImageTools } from '../src/import/readers/isolated-tools.ts';
import type { Answer, ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

const MIB = 2 ** 20;
const DISK = 80 * MIB;
const OCTETS = { 'content-type': 'application/octet-stream', accept: 'application/json' };
/** Only the superuser may mount; promises on pretended disks are tried by everybody, in src/staging/staging.test.ts. */
const canMount = process.getuid?.() === 0 && process.platform === 'linux';
const tools = isolatedImageTools(nodeImageTools(1), {
  memoryBytes: 128 * MIB,
  threads: 1,
  patienceMs: 20_000,
  log: () => {},
});
let mounted: string;
let world: ApiWorld;

async function created(): Promise<string> {
  const body = { disk_format: 'raw', container_format: 'bare' };
  return String((await world.call('POST /v2/images', { body })).json['id']);
}

async function used(): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(mounted);
  return (blocks - bfree) * bsize;
}

function give(id: string, where: 'file' | 'stage', body: unknown): Promise<Answer> {
  return world.call(`PUT /v2/images/${id}/${where}`, { body, headers: OCTETS });
}

describe.runIf(canMount)('on a disk of 80 MiB', () => {
  beforeAll(async () => {
    mounted = await mkdtemp(join(tmpdir(), 'diskmorph-small-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', mounted]);
    world = await makeApiWorld({
      base: mounted,
      intercept: (parts) => ({ ...parts, tools: { ...parts.tools, openInFormat: tools.openInFormat } }),
      overrides: {
        'diskmorph.download_plan_lifetime': '0',
        'image_import_opts.image_import_plugins': '[image_conversion]',
        'image_conversion.output_format': 'qcow2',
      },
    });
  });
  afterAll(async () => {
    await world.remove();
    await tools.close();
    execFileSync('umount', [mounted]);
    await rm(mounted, { recursive: true });
  });

  test.each(['file', 'stage'] as const)(
    'of two uploads that do not fit together (to /%s) one is refused, with the figures',
    async (where) => {
      const before = await used();
      const ids = [await created(), await created()];
      const data = randomBytes(60 * MIB);
      const answers = await Promise.all(ids.map((id) => give(id, where, data)));
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses[0]).toBe(204);
      expect([413, 503]).toContain(statuses[1]);
      const refused = answers.find(({ status }) => status !== 204);
      expect(refused?.text).toMatch(/The work needs 62914560 bytes of disk space, but only \d+ are free for it/);
      for (const id of ids) expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
      expect(await used()).toBeLessThan(before + MIB);
    },
  );

  test('an upload whose length nobody knows is stopped before the disk is full', async () => {
    const id = await created();
    const piece = randomBytes(MIB);
    let given = 0;
    const body = new ReadableStream({
      pull(controller) {
        given += 1;
        // More than the disk has: nobody may want so much.
        if (given > 200) controller.close();
        else controller.enqueue(piece);
      },
    });
    const answer = await give(id, 'stage', body).catch(() => undefined);
    expect(answer?.status ?? 503).toBe(503);
    expect(given).toBeLessThan(80);
    expect((await world.call(`GET /v2/images/${id}`)).json).toMatchObject({
      status: 'queued',
      os_glance_import_error: expect.stringMatching(/^insufficient_space: /),
    });
  });

  test('downloads in other formats whose plans do not fit beside each other are refused, and the disk is not filled', async () => {
    const id = await created();
    expect((await give(id, 'file', randomBytes(55 * MIB))).status).toBe(204);
    const given = await Promise.all(
      [8, 16, 32, 64].map(async (bits) => {
        const query = `format=qcow2&cluster_size=512&refcount_bits=${bits}`;
        const answer = await fetch(`${world.url}/v2/images/${id}/file?${query}`);
        const { byteLength } = await answer.arrayBuffer();
        return { status: answer.status, byteLength };
      }),
    );
    const statuses = given.map(({ status }) => status).toSorted();
    expect([statuses[0], statuses[3]]).toEqual([200, 503]);
    for (const { status, byteLength } of given) if (status === 200) expect(byteLength).toBeGreaterThan(55 * MIB);
    expect((await world.call(`DELETE /v2/images/${id}`)).status).toBe(204);
  });

  test('imports that do not fit beside each other wait for each other', async () => {
    const ids = [await created(), await created()];
    for (const id of ids) expect((await give(id, 'stage', randomBytes(20 * MIB))).status).toBe(204);
    for (const id of ids) {
      const body = { method: { name: 'glance-direct' } };
      expect((await world.call(`POST /v2/images/${id}/import`, { body })).status).toBe(202);
    }
    const shown = async (): Promise<readonly unknown[]> =>
      Promise.all(ids.map(async (id) => (await world.call(`GET /v2/images/${id}`)).json['status']));
    let statuses = await shown();
    while (statuses.includes('importing') || statuses.includes('uploading')) statuses = await shown();
    expect(statuses).toEqual(['active', 'active']);
  });
});
