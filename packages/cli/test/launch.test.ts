import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { BIN_FROM_SOURCE as bin, SAMPLE, startDiskmorph, WITHOUT_EXECVE } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

const OLD_NODE: readonly string[] = [
  '--import',
  `data:text/javascript,${encodeURIComponent(`Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })`)}`,
];

test.each([
  { name: 'by replacing the process', nodeArgs: [] },
  { name: 'through a child', nodeArgs: WITHOUT_EXECVE },
  { name: 'with the condition already set', nodeArgs: ['--conditions=source'] },
])('starts $name', async ({ nodeArgs }) => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  const shown = await startDiskmorph(['--version'], { nodeArgs, bin }).finished;
  expect(shown).toMatchObject({ code: 0, out: `diskmorph ${version}\n`, err: '' });
  const failing = await startDiskmorph(['inspect', '-q', '--declared', 'vmdk', SAMPLE], { nodeArgs, bin }).finished;
  expect(failing).toMatchObject({ code: 2, err: '' });
});

test('an old Node hands over to the one of the workspace', async () => {
  const run = await startDiskmorph(['--version'], { nodeArgs: OLD_NODE, bin }).finished;
  expect(run).toMatchObject({ code: 0, err: '' });
});

test('an old Node without a newer one beside it says what to do', async () => {
  await mkdir(scratch.path('alone/bin'), { recursive: true });
  const alone = scratch.path('alone/bin/diskmorph.mjs');
  await copyFile(new URL('../bin/diskmorph.js', import.meta.url), alone);
  await copyFile(new URL('../bin/launch.js', import.meta.url), scratch.path('alone/bin/launch.js'));
  const run = await startDiskmorph(['--version'], { nodeArgs: OLD_NODE, bin: alone }).finished;
  expect(run).toMatchObject({ code: 70, out: '' });
  expect(run.err).toContain('needs Node 26 or newer, and this is Node 20.1.0');
  expect(run.err).toContain('npm ci');
});
