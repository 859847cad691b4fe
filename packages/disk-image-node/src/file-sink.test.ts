import { mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeSparseDisk } from '../test/sparse-disk.ts';
import { convertFile } from './convert-file.ts';
import { openFileSink } from './file-sink.ts';
import { plainSystemCalls } from './system-calls.ts';

const MiB = 2 ** 20;
const EXT4_MAGIC = 0xef53;
const folder = mkdtempSync(path.join(tmpdir(), 'diskmorph-sink-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

describe('space ahead of what is written', () => {
  test('is reserved on ext4, where that makes writing faster, and nowhere else', async () => {
    const sink = openFileSink(at('where'), 'the target');
    expect(sink.reserve !== undefined).toBe(statfsSync(folder).type === EXT4_MAGIC);
    sink.reserve?.(0, MiB);
    expect(statSync(at('where')).blocks * 512).toBe(sink.reserve === undefined ? 0 : MiB);
    await sink.close();
  });

  test('reads as zeros, leaves what is there, and is given back when the file gets its length', async () => {
    const sink = openFileSink(at('given-back'), 'the target');
    await sink.write(0, new Uint8Array(5000).fill(7));
    sink.reserve?.(4096, 3 * MiB);
    await sink.write(MiB, new Uint8Array(5).fill(8));
    await sink.truncate(MiB + 5);
    await sink.close();
    const bytes = readFileSync(at('given-back'));
    expect(bytes.length).toBe(MiB + 5);
    expect(bytes.subarray(0, 5000).every((byte) => byte === 7)).toBe(true);
    expect(bytes.subarray(5000, MiB).every((byte) => byte === 0)).toBe(true);
    expect([...bytes.subarray(MiB)]).toEqual([8, 8, 8, 8, 8]);
    expect(statSync(at('given-back')).blocks * 512).toBeLessThanOrEqual(MiB + 4096);
  });

  test('that the file system cannot give fails nothing', async () => {
    for (const system of [undefined, plainSystemCalls]) {
      const sink = openFileSink(at('refused'), 'the target', system);
      sink.reserve?.(0, 2 ** 52);
      await sink.write(0, new Uint8Array(100).fill(1));
      await sink.close();
    }
    expect(readFileSync(at('refused')).length).toBe(100);
  });

  test('does not stay in the images that conversions make', async () => {
    await writeSparseDisk(at('disk.raw'), 24 * MiB + 1536, 0.5);
    const source = { path: at('disk.raw'), format: 'raw' };
    for (const format of ['raw', 'qcow2', 'vmdk', 'vhdx', 'vhd', 'vdi']) {
      const target = { path: at(`image.${format}`), format };
      const { dataBytes } = await convertFile({ source, target });
      const { size, blocks } = statSync(target.path);
      expect(blocks * 512, format).toBeGreaterThanOrEqual(dataBytes);
      expect(blocks * 512, format).toBeLessThanOrEqual(Math.min(size, dataBytes * 2) + MiB);
    }
  });
});
