import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { convertFile } from '../src/index.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-adjust-'));
  await writeFile(path.join(folder, 'disk.raw'), new Uint8Array(65536).fill(7));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function convertTo(name: string, adjust: (paths: readonly string[]) => Promise<void>): Promise<unknown> {
  return convertFile({
    source: { path: path.join(folder, 'disk.raw'), format: 'raw' },
    target: { path: path.join(folder, name), format: 'qcow2' },
    adjust,
  });
}

test('an adjustment sees the whole image before it has its name', async () => {
  const seen: string[] = [];
  await convertTo('made.qcow2', async ([made = '']) => {
    expect(await readdir(folder)).not.toContain('made.qcow2');
    seen.push((await readFile(made)).subarray(0, 3).toString('latin1'));
  });
  expect(seen).toEqual(['QFI']);
  expect(await readdir(folder)).toContain('made.qcow2');
});

test('a failed adjustment leaves nothing', async () => {
  const failing = convertTo('failed.qcow2', () => Promise.reject(new Error('no room for bitmaps')));
  await expect(failing).rejects.toThrow('no room for bitmaps');
  expect((await readdir(folder)).filter((name) => name.includes('failed'))).toEqual([]);
});
