import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskmorph, startDiskmorph } from './run-diskmorph.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-serve-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('serves until it is asked to stop, and then ends well', async () => {
  const running = startDiskmorph(['serve', '--port', '0', '--state-dir', dir]);
  const { stderr } = running.child;
  if (stderr === null) throw new Error('assertion failed: standard error is a pipe');
  const [said] = await once(stderr, 'data');
  const url = /serving on (http:\S+)/.exec(String(said))?.[1];
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect((await fetch(`${url}/v2/images`)).status).toBe(200);
  running.child.kill('SIGTERM');
  expect(await running.finished).toMatchObject({ code: 0, signal: null });
});

test('listens for others only when that is said', async () => {
  const refused = await diskmorph('serve', '--port', '0', '--state-dir', dir, '--host', '0.0.0.0');
  expect(refused.code).toBe(78);
  expect(refused.err).toContain('--allow-unauthenticated');
});

test('a state that another process serves is refused', async () => {
  const running = startDiskmorph(['serve', '--port', '0', '--state-dir', dir]);
  await running.firstNote;
  expect((await diskmorph('serve', '--port', '0', '--state-dir', dir)).code).toBe(75);
  running.child.kill('SIGTERM');
  await running.finished;
});
