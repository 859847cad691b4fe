import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openUnnamedFile } from './unnamed-file.ts';

test('a file without a name can be written and read', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'diskmorph-unnamed-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = await openUnnamedFile(directory, 'name');
  await file.write(Buffer.from('content'));
  expect((await file.read(Buffer.alloc(7), 0, 7, 0)).buffer.toString()).toBe('content');
  expect(await readdir(directory)).toEqual([]);
  await file.close();
});

test.runIf(process.platform === 'linux')('it never had one that a kill could leave', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'diskmorph-unnamed-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = await openUnnamedFile(directory, 'name');
  // proc(5): what has lost its name is shown under it.
  expect(await readlink(`/proc/self/fd/${file.fd}`)).not.toMatch(/\/name/);
  await file.close();
});
