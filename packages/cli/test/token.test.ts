import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskmorph, startDiskmorph } from './run-diskmorph.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-token-'));
  file = join(dir, 'tokens.yaml');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('makes a token that the service knows, and keeps its hash alone', async () => {
  const made = await diskmorph('token', '--token-file', file, '--user', 'ci', '--project', 'builds', '--days', '1');
  expect(made).toMatchObject({ code: 0, err: '' });
  const token = made.out.trim();
  expect(token).toMatch(/^dmt_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
  expect(await readFile(file, 'utf8')).not.toContain(token.slice(17));
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  const running = startDiskmorph(['serve', '--port', '0', '--state-dir', dir], {
    env: { OS_DISKMORPH__TOKEN_FILE: file },
  });
  const { stderr } = running.child;
  if (stderr === null) throw new Error('assertion failed: standard error is a pipe');
  const [said] = await once(stderr, 'data');
  const url = /serving on (http:\S+)/.exec(String(said))?.[1];
  expect((await fetch(`${url}/v2/images`)).status).toBe(401);
  expect((await fetch(`${url}/v2/images`, { headers: { 'x-auth-token': token } })).status).toBe(200);
  running.child.kill('SIGTERM');
  expect((await running.finished).code).toBe(0);
});

test('finds the file by the configuration', async () => {
  const run = startDiskmorph(['token', '--state-dir', dir, '--user', 'a', '--project', 'p', '--role', 'reader'], {
    env: { OS_DISKMORPH__TOKEN_FILE: file },
  });
  expect((await run.finished).code).toBe(0);
  expect(await readFile(file, 'utf8')).toContain('- reader');
});

test.each([
  [['--project', 'p'], '--user says who gets the token'],
  [['--user', 'u'], '--project says for which project'],
  [['--user', 'u', '--project', 'p', '--days', '40000'], '--days can be at most 36500'],
  [['--user', 'u', '--project', 'p'], 'the configuration names no token_file'],
])('%j makes no sense', async (args, message) => {
  const refused = await diskmorph('token', '--state-dir', dir, ...args);
  expect(refused).toMatchObject({ code: 64, out: '' });
  expect(refused.err).toContain(message);
});

test('a file that is no list of tokens is left as it is', async () => {
  await writeFile(file, 'tokens: []\n');
  await chmod(file, 0o600);
  const refused = await diskmorph('token', '--token-file', file, '--user', 'u', '--project', 'p');
  expect(refused).toMatchObject({ code: 78, out: '' });
  expect(refused.err).toContain('not a list of tokens');
  expect(await readFile(file, 'utf8')).toBe('tokens: []\n');
});
