import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryDirectory } from '../../test/world.ts';
import { nodeImageTools } from './node-image-tools.ts';

const SIZE = 5 * 2 ** 20 + 512;
const tools = nodeImageTools(1);
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(await memoryDirectory(), 'diskmorph-forecast-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Target {
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
}

/** Every kind of result that is one file; `whole`: it is known beforehand that every guest byte has its place there. */
const targets: readonly (Target & { readonly whole: boolean })[] = [
  { format: 'raw', options: {}, whole: true },
  { format: 'qcow2', options: {}, whole: false },
  { format: 'qcow2', options: { cluster_size: '2M' }, whole: false },
  { format: 'qcow2', options: { compression: 'zstd' }, whole: false },
  { format: 'qcow2', options: { preallocation: 'metadata' }, whole: true },
  { format: 'qcow2', options: { preallocation: 'full' }, whole: false },
  { format: 'vmdk', options: {}, whole: false },
  { format: 'vmdk', options: { subformat: 'streamOptimized' }, whole: false },
  { format: 'vhd', options: {}, whole: false },
  { format: 'vhd', options: { subformat: 'fixed' }, whole: true },
  { format: 'vhdx', options: {}, whole: false },
  { format: 'vhdx', options: { subformat: 'fixed' }, whole: true },
  { format: 'vdi', options: {}, whole: false },
  { format: 'vdi', options: { static: 'on' }, whole: true },
];

describe('the fewest bytes of a result, as they are forecast', () => {
  test.each(targets)('$format with $options: no disk takes less', async ({ format, options, whole }) => {
    // The least that a disk can hold.
    const path = join(dir, 'zeros.raw');
    await writeFile(path, '');
    await truncate(path, SIZE);
    const conversion = { source: { path, format: 'raw' }, target: { path: join(dir, 'result'), format, options } };
    const { leastBytes, virtualSize } = await tools.forecast(conversion, {});
    await tools.convert(conversion, { checkpointDir: join(dir, 'checkpoints') });
    expect((await stat(conversion.target.path)).size).toBeGreaterThanOrEqual(leastBytes);
    expect(tools.leastBytes({ format, options }, virtualSize)).toBe(leastBytes);
    expect(leastBytes >= SIZE).toBe(whole);
    expect(leastBytes).toBeGreaterThan(0);
  });

  test('a raw result has them exactly', async () => {
    expect(tools.leastBytes({ format: 'raw', options: {} }, SIZE)).toBe(SIZE);
  });

  test('a disk that the format cannot hold is refused', () => {
    expect(() => tools.leastBytes({ format: 'vhd', options: {} }, 4 * 2 ** 40)).toThrow(/too large|at most|larger/);
  });
});
