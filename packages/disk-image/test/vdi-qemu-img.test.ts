/** VDI against qemu-img 7.2, both ways: every option, odd sizes, large sparse disks. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { vdi } from '../src/formats/vdi/vdi.ts';
import type { GivenOptions } from '../src/index.ts';
import { memorySource } from '../src/index.ts';
import { holdsGuest, readGuest, scratchFolder, withImage, writeFromRaw } from './disk-files.ts';
import { patched } from './goldens.ts';
import { noise, qemuImg } from './vmdk-driver.ts';

let folder: Awaited<ReturnType<typeof scratchFolder>>;
beforeAll(async () => {
  await requireQemuImg();
  folder = await scratchFolder();
});
afterAll(() => folder.remove());

interface Info {
  readonly 'virtual-size': number;
}

async function peerSize(path: string): Promise<number> {
  const info: Info = JSON.parse(await qemuImg('info', '-f', 'vdi', '--output=json', path));
  return info['virtual-size'];
}

const SIZES = [1, 512, 1_000_000, 2 ** 20, 2 ** 20 + 1, 5 * 2 ** 20 + 512];
/** qemu-img reads blocks of 1 MiB alone, so the others are judged by their own reader. */
const WAYS: readonly GivenOptions[] = [
  {},
  { static: 'on' },
  { block_size: '4k' },
  { block_size: '64k', static: 'on' },
  { block_size: '32M' },
];

describe.each(WAYS.map((options) => [JSON.stringify(options), options] as const))('%s', (_title, options) => {
  const forPeer = options['block_size'] === undefined;

  test.each(SIZES)('a disk of %d bytes is the same on both sides', async (size) => {
    const [raw, path] = [folder.path('guest.raw'), folder.path('ours.vdi')];
    const bytes = noise(Math.min(size, 900_000), size);
    await writeFromRaw(path, { raw, size, pieces: [{ offset: size - bytes.length, bytes }] }, { target: vdi, options });
    if (forPeer) {
      expect(await qemuImg('compare', '-f', 'raw', '-F', 'vdi', raw, path)).toContain('Images are identical');
      expect(await qemuImg('check', '-f', 'vdi', path)).toContain('No errors were found');
    }
    const guest = await readFile(raw);
    const expectedSize = forPeer ? await peerSize(path) : Math.ceil(size / 512) * 512;
    await withImage(path, vdi, async (image) => {
      expect(image.virtualSize).toBe(expectedSize);
      expect(holdsGuest(await readGuest(image), guest)).toBe(true);
    });
    expect(await vdi.check?.(memorySource(await readFile(path)))).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test('5 GiB with data at both ends and in between take little space', async () => {
    const [raw, path] = [folder.path('guest.raw'), folder.path('ours.vdi')];
    const size = 5 * 2 ** 30 + 12_288;
    const places = [0, 2 ** 31 - 4096, 2 ** 32 + 77 * 512, size - 70_000];
    const pieces = places.map((offset, i) => ({ offset, bytes: noise(70_000, i + 1) }));
    await writeFromRaw(path, { raw, size, pieces }, { target: vdi, options });
    if (forPeer)
      expect(await qemuImg('compare', '-f', 'raw', '-F', 'vdi', raw, path)).toContain('Images are identical');
    expect((await stat(path)).blocks * 512).toBeLessThan(2 ** 23);
    await withImage(path, vdi, async (image) => {
      for (const { offset, bytes } of pieces) {
        const part = new Uint8Array(bytes.length);
        await image.read(offset, part);
        expect(Buffer.compare(part, bytes)).toBe(0);
      }
    });
  }, 60_000);
});

describe('what qemu-img writes is read as it was', () => {
  const cases = ['static=off', 'static=on'].flatMap((option) => SIZES.map((size) => [option, size] as const));
  test.each(cases)('%s, %d bytes', async (option, size) => {
    const [raw, path] = [folder.path('theirs.raw'), folder.path('theirs.vdi')];
    const guest = new Uint8Array(size);
    guest.set(noise(Math.min(size, 300_000), 7));
    await writeFile(raw, guest);
    await qemuImg('convert', '-f', 'raw', '-O', 'vdi', '-o', option, raw, path);
    const expectedSize = await peerSize(path);
    await withImage(path, vdi, async (image) => {
      expect(image.virtualSize).toBe(expectedSize);
      for (const step of [262_144, 4097]) expect(holdsGuest(await readGuest(image, step), guest)).toBe(true);
    });
    expect(await vdi.check?.(memorySource(await readFile(path)))).toMatchObject({ corruptions: 0, leaks: 0 });
  });
});

test('damage is found by both checks', async () => {
  const [raw, path] = [folder.path('guest.raw'), folder.path('ours.vdi')];
  await writeFromRaw(
    path,
    { raw, size: 3 * 2 ** 20, pieces: [{ offset: 0, bytes: noise(2 ** 21, 1) }] },
    { target: vdi, options: {} },
  );
  const whole = Uint8Array.from(await readFile(path));
  const cases = [
    { name: 'two entries for one block', at: 512, bytes: [1, 0, 0, 0] },
    { name: 'a block number above all', at: 512, bytes: [7, 0, 0, 0] },
    { name: 'a wrong count of blocks', at: 388, bytes: [3] },
  ];
  for (const { at, bytes } of cases) {
    const broken = patched(whole, at, bytes);
    await writeFile(path, broken);
    await expect(qemuImg('check', '-f', 'vdi', path)).rejects.toMatchObject({ code: 2 });
    const report = await vdi.check?.(memorySource(broken));
    expect(report?.corruptions).toBeGreaterThan(0);
  }
});

test('a disk of an odd size ends on a sector, as qemu-img has it', async () => {
  const path = folder.path('odd.vdi');
  await qemuImg('create', '-q', '-f', 'vdi', path, '1M');
  await writeFile(path, patched(Uint8Array.from(await readFile(path)), 368, [0xff, 0xff, 0x0f]));
  expect(await peerSize(path)).toBe(2 ** 20);
  expect(await withImage(path, vdi, async (image) => image.virtualSize)).toBe(2 ** 20);
});
