import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { convertFile, digestFile } from '../src/index.ts';

const MIB = 2 ** 20;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diskmorph-overlay-'));
  const base = new Uint8Array(8 * MIB).fill(1, 0, 6 * MIB);
  const source = new Uint8Array(8 * MIB);
  source.set(base);
  source
    .fill(0, MIB, 2 * MIB)
    .fill(5, 4 * MIB + 3, 4 * MIB + 9)
    .fill(6, 7 * MIB);
  await writeFile(join(folder, 'base.raw'), base);
  await writeFile(join(folder, 'source.raw'), source);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const raw = (name: string): { readonly path: string; readonly format: string } => ({
  path: join(folder, name),
  format: 'raw',
});

test.each([0, 3])('an overlay made by %i threads is verified over its base', async (workers) => {
  const path = join(folder, 'overlay.qcow2');
  const report = await convertFile({
    source: raw('source.raw'),
    target: {
      path,
      format: 'qcow2',
      options: { compression: 'zlib' },
      over: { name: 'base.raw', format: 'raw', file: raw('base.raw') },
    },
    workers,
  });
  expect(report).toMatchObject({ verified: true });
  expect(report.targetSizeBytes).toBeLessThan(MIB);
  const references = { directories: [folder] };
  const { contentId } = await digestFile({ path, format: 'qcow2', references });
  expect(contentId).toBe((await digestFile(raw('source.raw'))).contentId);
  expect((await readdir(folder)).toSorted()).toEqual(['base.raw', 'overlay.qcow2', 'source.raw']);
});

test('an overlay is not resumed: its base may have changed', async () => {
  const conversion = convertFile({
    source: raw('source.raw'),
    target: {
      path: join(folder, 'overlay.qcow2'),
      format: 'qcow2',
      over: { name: 'base.raw', format: 'raw', file: raw('base.raw') },
    },
    checkpoint: { path: join(folder, 'work') },
  });
  await expect(conversion).rejects.toMatchObject({ code: 'unsupported' });
});

test('parts of images can follow one another', async () => {
  const rest = { ...raw('base.raw'), part: { offset: 5 * MIB, size: 2 * MIB } };
  const { virtualSize } = await digestFile({ ...raw('source.raw'), followedBy: [rest] });
  expect(virtualSize).toBe(10 * MIB);
});
