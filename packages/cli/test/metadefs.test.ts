import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskmorph, diskmorphJson, startDiskmorph } from './run-diskmorph.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-metadefs-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function write(name: string, document: unknown): Promise<void> {
  return writeFile(join(dir, name), JSON.stringify(document));
}

function load(...more: string[]): ReturnType<typeof diskmorph> {
  return diskmorph('metadefs', 'load', dir, '--state-dir', join(dir, 'state'), ...more);
}

test('loads a directory, leaves what is there, and merges when asked to', async () => {
  await write('b.json', { namespace: 'B', tags: [{ name: 't' }] });
  await write('a.json', { namespace: 'A', display_name: 'A', visibility: 'public', properties: {} });
  await writeFile(join(dir, 'README'), 'not a definition');
  expect(await load()).toMatchObject({ code: 0, out: 'added A\nadded B\n', err: '' });
  expect(await load()).toMatchObject({ code: 0, out: 'skipped A\nskipped B\n' });
  expect(await load('--merge')).toMatchObject({ code: 0, out: 'merged A\nmerged B\n' });
  expect(await load('--merge', '--prefer-new')).toMatchObject({ code: 0, out: 'merged A\nmerged B\n' });
  expect(await load('--merge', '--overwrite')).toMatchObject({ code: 0, out: 'overwritten A\noverwritten B\n' });
});

test('says of each file why it was not loaded, and loads the others', async () => {
  await write('good.json', { namespace: 'Good' });
  await write('nameless.json', { display_name: 'x' });
  await writeFile(join(dir, 'torn.json'), '{"namespace": ');
  const { code, out, err } = await load();
  expect([code, out]).toEqual([2, 'added Good\n']);
  expect(err).toContain("nameless.json: Provided object does not match schema 'namespace'");
  expect(err).toContain('torn.json: ');
});

test('one file, as JSON', async () => {
  await write('one.json', { namespace: 'One' });
  const path = join(dir, 'one.json');
  const state = ['--state-dir', join(dir, 'state')];
  expect(await diskmorphJson('metadefs', 'load', path, ...state)).toEqual([
    { path, namespace: 'One', outcome: 'added', message: null },
  ]);
});

test('without a path, what the configuration names', async () => {
  await write('one.json', { namespace: 'One' });
  const run = startDiskmorph(['metadefs', 'load', '--state-dir', join(dir, 'state')], {
    env: { OS_DEFAULT__METADATA_SOURCE_PATH: dir },
  });
  expect(await run.finished).toMatchObject({ code: 0, out: 'added One\n' });
});

test('nothing to load is a failure', async () => {
  expect(await load()).toMatchObject({ code: 2, out: '' });
  const missing = await diskmorph('metadefs', 'load', join(dir, 'no'), '--state-dir', join(dir, 'state'));
  expect(missing).toMatchObject({ code: 2, out: '' });
});

test.each([
  [['unload', 'x'], '"unload" is not load'],
  [['load', 'x', '--overwrite'], '--prefer-new and --overwrite go with --merge'],
  [['load', 'x', '--merge', '--overwrite', '--prefer-new'], '--prefer-new and --overwrite exclude each other'],
])('%j makes no sense', async (line, message) => {
  const refused = await diskmorph('metadefs', ...line);
  expect(refused.code).toBe(64);
  expect(refused.err).toContain(message);
});
