import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { sqliteEngine } from './torture/engines.ts';
import { makeInstallation } from './torture/installation.ts';
import { startService } from './torture/server-process.ts';
import { directoryStaging } from './torture/staging.ts';
import { torture } from './torture/torture.ts';
import { memoryDirectory } from './world.ts';

test('killed 12 times while clients use it: what was promised holds, nothing is left over', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const log: string[] = [];
  const size = { rounds: 12, clients: 3, longestLife: 0.5 };
  const report = await torture({
    seed,
    ...size,
    engine: sqliteEngine,
    staging: directoryStaging(),
    log: (line) => log.push(line),
  });
  expect(report.violations, log.slice(-3).join('\n')).toEqual([]);
  expect(report.states['images active']).toBeGreaterThan(0);
}, 300_000);

test.each([
  { path: 'file', during: 'saving' },
  { path: 'stage', during: 'uploading' },
])('an image whose data came (to /$path) when the service was killed says so', async ({ path, during }) => {
  const dir = await mkdtemp(join(await memoryDirectory(), 'diskmorph-cut-'));
  const state = await sqliteEngine.prepare(dir);
  const installation = await makeInstallation(dir, { samplePort: 80, state, staging: directoryStaging() });
  const first = startService({ configFile: installation.configFile, role: ['serve', '--port', '0'] });
  const url = await first.ready;
  const id = await createdImage(url);
  const upload = request(`${url}/v2/images/${id}/${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': '100000' },
  });
  upload.on('error', () => {});
  upload.write(Buffer.alloc(70_000, 1));
  while ((await shown(url, id))['status'] !== during) await delay(20);
  await first.kill();
  const second = startService({ configFile: installation.configFile, role: ['serve', '--port', '0'] });
  const image = await shown(await second.ready, id);
  expect(image).toMatchObject({
    status: 'queued',
    os_glance_import_error: 'interrupted: The service ended while the data came; give it again',
  });
  expect(await installation.unfinished()).toEqual([]);
  expect(await installation.stored('a')).toEqual([]);
  await second.stop();
  await rm(dir, { recursive: true });
});

async function createdImage(url: string): Promise<string> {
  const response = await fetch(`${url}/v2/images`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ disk_format: 'raw', container_format: 'bare' }),
  });
  return String(((await response.json()) as Record<string, unknown>)['id']);
}

async function shown(url: string, id: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/v2/images/${id}`);
  return (await response.json()) as Record<string, unknown>;
}
