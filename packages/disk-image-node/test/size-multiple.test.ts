import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareFiles, convertFile, digestFile, openImageFile } from '../src/index.ts';
import { writeSparseDisk } from './sparse-disk.ts';

const MiB = 2 ** 20;
const SOURCE_SIZE = 5 * MiB + 1536;
let folder = '';
const at = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-multiple-'));
  await writeSparseDisk(at('disk.raw'), SOURCE_SIZE, 0.5);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  { format: 'raw', options: {} },
  { format: 'qcow2', options: {} },
  { format: 'qcow2', options: { compression: 'zlib' } },
  { format: 'vmdk', options: { subformat: 'streamOptimized' } },
  { format: 'vmdk', options: { subformat: 'twoGbMaxExtentFlat' } },
  { format: 'vhd', options: { subformat: 'fixed', force_size: 'on' } },
  { format: 'vhd', options: { force_size: 'on' } },
  { format: 'vhdx', options: {} },
  { format: 'vdi', options: {} },
])('a disk of an odd size grows to a whole multiple in $format $options', async ({ format, options }) => {
  const name = `multiple.${format}`;
  const report = await convertFile({
    source: { path: at('disk.raw'), format: 'raw' },
    target: { path: at(name), format, options, sizeMultiple: 4 * MiB },
    overwrite: true,
  });
  expect(report).toMatchObject({ virtualSize: SOURCE_SIZE, verified: true, plan: { virtualSize: 8 * MiB } });
  expect(report.contentId).toBe((await digestFile({ path: at('disk.raw'), format: 'raw' })).contentId);
  const written = { path: at(name), format, references: { directories: [folder] } };
  const image = await openImageFile(written);
  await image.close();
  expect(image.virtualSize).toBe(8 * MiB);
  expect(await compareFiles({ path: at('disk.raw'), format: 'raw' }, written)).toMatchObject({ equal: true });
});
