/** What `deploy/prometheus` and the guide say, by the real Prometheus. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runCommand } from '../../../fixtures/command.ts';
import { freePort } from '../../../fixtures/free-port.ts';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

const WORKSPACE = join(import.meta.dirname, '..', '..', '..');
const DEPLOY = join(WORKSPACE, 'deploy', 'prometheus');
const RULES = 'diskmorph.rules.yml';
const OCTETS = { 'content-type': 'application/octet-stream' };

let world: ApiWorld;
let promtool: string;
let port: number;
beforeAll(async () => {
  promtool = await requirePackage('promtool', 'prometheus');
  port = await freePort();
  world = await makeApiWorld({ overrides: { 'diskmorph.metrics_bind_port': String(port) } });
  await importAs('raw', 'active');
  await importAs('qcow2', 'queued');
}, 300_000);
afterAll(() => world.remove());

/** Imports a raw disk that is said to be something; returns when it has ended in that status. */
async function importAs(format: string, wanted: string): Promise<void> {
  const body = { name: 'disk', disk_format: format, container_format: 'bare' };
  const path = `/v2/images/${String((await world.call('POST /v2/images', { body })).json['id'])}`;
  await world.call(`PUT ${path}/stage`, { headers: OCTETS, body: diskBytes() });
  await world.call(`POST ${path}/import`, { body: { method: { name: 'glance-direct' } } });
  await vi.waitFor(
    async () => {
      const { json } = await world.call(`GET ${path}`);
      const ended = json['status'] === 'active' || json['os_glance_import_error'] !== undefined;
      expect([ended, json['status']]).toEqual([true, wanted]);
    },
    { timeout: 20_000 },
  );
  if (wanted === 'active') await world.call(`GET ${path}/file`);
}

test('the rules and the configuration are good, and the rules do what their own tests say', async () => {
  expect(await runCommand(promtool, ['check', 'rules', join(DEPLOY, RULES)])).toContain('6 rules found');
  expect(await runCommand(promtool, ['check', 'config', join(DEPLOY, 'prometheus.yml')])).toContain('1 rule files');
  expect(await runCommand(promtool, ['test', 'rules', join(DEPLOY, 'diskmorph.rules.test.yml')])).toContain('SUCCESS');
});

test('the figures have no fault that Prometheus knows', async () => {
  const { text } = await world.call('GET /metrics');
  expect(await runCommand(promtool, ['check', 'metrics'], { input: text })).toBe('');
});

test('there is every figure that the guide and the rules name', async () => {
  const { text } = await world.call('GET /metrics');
  const guide = await readFile(join(WORKSPACE, 'docs', 'admin-guide.md'), 'utf8');
  const cells = guide.split('\n').filter((line) => /^\| `(http_server|diskmorph|process|nodejs)_/.test(line));
  const named = cells.flatMap((line) =>
    Array.from(line.split(' | ')[0]?.matchAll(/`(\w+)`/g) ?? [], ([, name]) => name),
  );
  const rules = await readFile(join(DEPLOY, RULES), 'utf8');
  const used = Array.from(rules.matchAll(/\b(http_server|diskmorph|process|nodejs)_\w+/g), ([name]) => name);
  expect(named.length).toBeGreaterThan(15);
  expect(used.length).toBeGreaterThan(5);
  const missing = [...named, ...used].filter((name) => !new RegExp(`^${name}(_count)?[ {]`, 'm').test(text));
  expect(missing).toEqual([]);
});

test('Prometheus reads them, and its rules find nothing wrong', async () => {
  const dir = world.path('prometheus');
  await mkdir(dir);
  await copyFile(join(DEPLOY, RULES), join(dir, RULES));
  const shipped = await readFile(join(DEPLOY, 'prometheus.yml'), 'utf8');
  const often = 'global: { scrape_interval: 1s, evaluation_interval: 1s }\n';
  await writeFile(join(dir, 'prometheus.yml'), often + shipped.replace('127.0.0.1:9293', `127.0.0.1:${port}`));
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`];
  const program = await requirePackage('prometheus', 'prometheus');
  const prometheus = spawn(program, [...flags, `--web.listen-address=${address}`], { stdio: 'ignore' });
  try {
    const ask = async (path: string): Promise<string> => {
      const answer = await fetch(`http://${address}/api/v1/${path}`).catch(() => undefined);
      return (await answer?.text()) ?? '';
    };
    await expect.poll(() => ask('targets'), { timeout: 20_000 }).toMatch(/"health":"up"/);
    await expect.poll(() => ask('rules'), { timeout: 20_000 }).toMatch(/^((?!"health":"unknown").)*"health":"ok".*$/);
    expect(await ask('rules')).not.toMatch(/"health":"err"|"state":"firing"/);
    const asked = await ask(`query?query=${encodeURIComponent('sum(diskmorph_tasks_ended_total)')}`);
    expect(asked).toMatch(/"value":\[[\d.]+,"2"\]/);
  } finally {
    const ended = once(prometheus, 'exit');
    prometheus.kill('SIGTERM');
    await ended;
  }
});
