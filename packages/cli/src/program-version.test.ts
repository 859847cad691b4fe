import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { programVersion } from './program-version.ts';

test('the version is that of the package, however deep a packed file lies', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-version-'));
  try {
    const deep = join(folder, 'cli', 'dist', 'bundle');
    await mkdir(deep, { recursive: true });
    await writeFile(join(folder, 'cli', 'dist', 'package.json'), '{"type":"module"}');
    expect(programVersion(deep)).toBe('unknown');
    await writeFile(join(folder, 'cli', 'package.json'), '{"name":"diskmorph","version":"7.8.9"}');
    expect(programVersion(deep)).toBe('7.8.9');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('in this package it is a version', () => {
  expect(programVersion()).toMatch(/^\d+\.\d+\.\d+/);
});
