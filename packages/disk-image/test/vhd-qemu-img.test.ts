/** VHD against qemu-img 7.2, both ways: sizes, every option, odd sizes, large sparse disks. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { guestDiskSize } from '../src/formats/vhd/geometry.ts';
import { vhd } from '../src/formats/vhd/vhd.ts';
import type { GivenOptions } from '../src/index.ts';
import { memorySource } from '../src/index.ts';
import { holdsGuest, readGuest, scratchFolder, withImage, writeFromRaw } from './disk-files.ts';
import { joined } from './goldens.ts';
import { footerBytes, headerBytes } from './vhd-disks.ts';
import { noise, qemuImg } from './vmdk-driver.ts';

const GIB = 2 ** 30;
const MAX_GEOMETRY_SIZE = 65535 * 16 * 255 * 512;

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
  const info: Info = JSON.parse(await qemuImg('info', '-f', 'vpc', '--output=json', path));
  return info['virtual-size'];
}

function layoutOf(virtualSize: number, options: GivenOptions): { virtualSize: number; geometry: unknown } {
  const layout = vhd.writer?.layout({ virtualSize, options, fileName: 'x.vhd', seed: new Uint8Array(16) });
  if (layout === undefined) throw new Error('vhd can be written');
  return { virtualSize: layout.virtualSize, geometry: layout.parameters['geometry'] };
}

describe('the size of a new disk is the one that qemu-img gives it', () => {
  const sizes = [
    0,
    1,
    512,
    513,
    34_816,
    34_817,
    65_536,
    1_000_000,
    1_048_576,
    4_194_304,
    104_857_600,
    535_822_848,
    535_822_849,
    4_261_412_864,
    33_822_351_360 - 512,
    33_822_351_360,
    33_822_351_361,
    127 * GIB,
    MAX_GEOMETRY_SIZE - 512,
    MAX_GEOMETRY_SIZE,
    MAX_GEOMETRY_SIZE + 512,
    128 * GIB,
    2040 * GIB,
  ];
  test.each(sizes)('%d bytes', async (size) => {
    for (const options of [{}, { force_size: 'on' }, { subformat: 'fixed' }]) {
      // qemu-img cannot open a fixed disk of no bytes, nor write a large one in reasonable time.
      if ('subformat' in options && (size === 0 || size > 2 ** 28)) continue;
      const path = folder.path('created.vhd');
      const given = Object.entries({ ...options, size: `${size}` }).map(([key, value]) => `${key}=${value}`);
      await qemuImg('create', '-q', '-f', 'vpc', '-o', given.join(','), path);
      const footer = (await readFile(path)).subarray(-512);
      const [cylinders, heads, sectorsPerTrack] = [footer.readUInt16BE(56), footer.readUInt8(58), footer.readUInt8(59)];
      expect(layoutOf(size, options)).toEqual({
        virtualSize: await peerSize(path),
        geometry: { cylinders, heads, sectorsPerTrack },
      });
    }
  });

  test('more than 2040 GiB are refused by both', async () => {
    expect(() => layoutOf(2040 * GIB + 1, {})).toThrow(expect.objectContaining({ code: 'out_of_bounds' }));
    await expect(qemuImg('create', '-f', 'vpc', folder.path('large.vhd'), `${2041 * GIB}`)).rejects.toThrow(
      'too large',
    );
  });
});

describe('the size of any disk is the one that qemu-img reads', () => {
  const creators = ['vpc ', 'qemu', 'qem2', 'win ', 'd2v ', 'tap\0', 'tap ', 'CTXS', 'wa\0\0', 'vs  ', 'vbox', 'dmph'];
  const geometries = [
    [10, 4, 17],
    [65535, 16, 255],
    [65535, 16, 63],
    [0, 0, 0],
  ] as const;
  test.each(creators)('creator %j', async (creator) => {
    for (const geometry of geometries) {
      for (const currentSize of [2 ** 20, 1_000_000]) {
        const path = folder.path('fixed.vhd');
        const fixed = joined(new Uint8Array(512), footerBytes({ creator, currentSize, geometry, diskType: 2 }));
        await writeFile(path, fixed);
        const size = await peerSize(path);
        const { info } = await vhd.examine(memorySource(fixed));
        expect(info.virtualSize).toBe(size);
        if (size > GIB) continue;
        const copy = footerBytes({ creator, currentSize, geometry, diskType: 3 });
        const dynamic = Buffer.concat([copy, headerBytes({ entries: 8 }), new Uint8Array(512).fill(0xff), copy]);
        await writeFile(path, dynamic);
        expect(await peerSize(path)).toBe(size);
        expect(await withImage(path, vhd, async (image) => image.virtualSize)).toBe(size);
      }
    }
  });

  test('a size that is not whole sectors loses its last bytes', () => {
    const geometry = { cylinders: 65535, heads: 16, sectorsPerTrack: 255 };
    expect(guestDiskSize({ creatorCode: 'dmph', currentSize: 1023, geometry })).toBe(512);
  });
});

const WAYS: readonly GivenOptions[] = [
  {},
  { subformat: 'fixed' },
  { force_size: 'on' },
  { subformat: 'fixed', force_size: 'on' },
  { block_size: '64k' },
  { block_size: '512k', force_size: 'on' },
  { block_size: '32M' },
  { azure: 'on' },
];
const SIZES = [512, 65_536, 1_000_448, 2 ** 21, 5 * 2 ** 20 + 512];

describe.each(WAYS.map((options) => [JSON.stringify(options), options] as const))('%s', (_title, options) => {
  test.each(SIZES)('a disk of %d bytes is the same for qemu-img', async (size) => {
    const [raw, path] = [folder.path('guest.raw'), folder.path('ours.vhd')];
    const bytes = noise(Math.min(size, 900_000), size);
    await writeFromRaw(path, { raw, size, pieces: [{ offset: size - bytes.length, bytes }] }, { target: vhd, options });
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'vpc', raw, path)).toContain('Images are identical');
    const guest = await readFile(raw);
    const expectedSize = await peerSize(path);
    await withImage(path, vhd, async (image) => {
      expect(image.virtualSize).toBe(expectedSize);
      expect(holdsGuest(await readGuest(image), guest)).toBe(true);
    });
    expect(await vhd.check?.(memorySource(await readFile(path)))).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test('5 GiB with data at both ends and in between take little space', async () => {
    const [raw, path] = [folder.path('guest.raw'), folder.path('ours.vhd')];
    const size = 5 * GIB + 12_288;
    const places = [0, 2 ** 31 - 4096, 2 ** 32 + 77 * 512, size - 70_000];
    const pieces = places.map((offset, i) => ({ offset, bytes: noise(70_000, i + 1) }));
    await writeFromRaw(path, { raw, size, pieces }, { target: vhd, options });
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'vpc', raw, path)).toContain('Images are identical');
    expect((await stat(path)).blocks * 512).toBeLessThan(2 ** 21);
    await withImage(path, vhd, async (image) => {
      for (const { offset, bytes } of pieces) {
        const part = new Uint8Array(bytes.length);
        await image.read(offset, part);
        expect(Buffer.compare(part, bytes)).toBe(0);
      }
    });
  }, 60_000);
});

describe('what qemu-img writes is read as it was', () => {
  const options = ['subformat=dynamic', 'subformat=fixed', 'force_size=on', 'subformat=fixed,force_size=on'];
  const cases = options.flatMap((option) => SIZES.map((size) => [option, size] as const));
  test.each(cases)('%s, %d bytes', async (option, size) => {
    const [raw, path] = [folder.path('theirs.raw'), folder.path('theirs.vhd')];
    const guest = new Uint8Array(size);
    guest.set(noise(Math.min(size, 300_000), 7));
    await writeFile(raw, guest);
    await qemuImg('convert', '-f', 'raw', '-O', 'vpc', '-o', option, raw, path);
    const expectedSize = await peerSize(path);
    await withImage(path, vhd, async (image) => {
      expect(image.virtualSize).toBe(expectedSize);
      for (const step of [262_144, 4097]) expect(holdsGuest(await readGuest(image, step), guest)).toBe(true);
    });
    expect(await vhd.check?.(memorySource(await readFile(path)))).toMatchObject({ corruptions: 0, leaks: 0 });
  });
});

test('Azure gets a whole number of MiB, by zeros at the end, and a footer behind it', async () => {
  const path = folder.path('azure.vhd');
  const pieces = [{ offset: 2_999_808, bytes: noise(512, 3) }];
  const disk = { raw: folder.path('guest.raw'), size: 3_000_320, pieces };
  await writeFromRaw(path, disk, { target: vhd, options: { azure: 'on' } });
  expect((await stat(path)).size).toBe(3 * 2 ** 20 + 512);
  const { info } = await vhd.examine(memorySource(await readFile(path)));
  expect(info).toMatchObject({ subformat: 'fixed', virtualSize: 3 * 2 ** 20, details: { currentSize: 3 * 2 ** 20 } });
});
