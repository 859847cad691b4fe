import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { DiskImage } from '../src/image/disk-image.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import type { Piece } from './vmdk-driver.ts';
import {
  besides,
  fileSource,
  infoOf,
  noise,
  openVmdk,
  qemuImg,
  rawDisk,
  SUBFORMATS,
  writeVmdk,
} from './vmdk-driver.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-vmdk-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

interface Disk {
  readonly name: string;
  readonly size: number;
  readonly pieces: readonly Piece[];
}

function disk(name: string, size: number, places: readonly (readonly [offset: number, length: number])[]): Disk {
  return { name, size, pieces: places.map(([offset, length], i) => ({ offset, bytes: noise(length, i + 1) })) };
}

const DISKS: readonly Disk[] = [
  disk('one-sector', 512, [[0, 512]]),
  disk('no-data', 3 * MIB, []),
  disk('not-a-multiple-of-a-grain', 5 * MIB + 512, [
    [0, 100_000],
    [2 * MIB, MIB],
    [5 * MIB, 512],
  ]),
  disk('two-grain-tables', 40 * MIB, [
    [0, MIB],
    [32 * MIB - 65_536, 131_072],
    [40 * MIB - 70_000, 70_000],
  ]),
  disk('beyond-4-gib', 5 * GIB + 3 * MIB, [
    [0, 200_000],
    [2047 * MIB - 131_072, 262_144],
    [4 * GIB + 12_288, 300_000],
    [5 * GIB + 2 * MIB, MIB],
  ]),
];

const cases = DISKS.flatMap((item) => SUBFORMATS.map((subformat) => ({ name: item.name, item, subformat })));

async function rawFor(item: Disk): Promise<{ readonly path: string; readonly image: DiskImage }> {
  const path = join(directory, `${item.name}.raw`);
  const image = await rawDisk(path, item.size, item.pieces);
  onTestFinished(() => image.close());
  return { path, image };
}

/** Compares the disk with its pieces, reading every extent that is said to hold data. */
async function expectContent(image: DiskImage, item: Disk): Promise<void> {
  const expected = new Map(item.pieces.map((piece) => [piece.offset, piece.bytes]));
  for (const [offset, bytes] of expected) {
    const read = new Uint8Array(bytes.length);
    await image.read(offset, read);
    expect(Buffer.compare(read, bytes)).toBe(0);
  }
  let dataBytes = 0;
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    if (extent.state === 'data') dataBytes += extent.length;
  }
  const flat = image.info.subformat?.endsWith('Flat') === true;
  const most = item.pieces.reduce((sum, piece) => sum + piece.bytes.length + 131_072, 0);
  expect(dataBytes).toBeLessThanOrEqual(flat ? item.size : most);
}

async function descriptorDetails(file: string): Promise<unknown[]> {
  const info = await infoOf(file);
  return ['adapter-type', 'hardware-version', 'tools-version', 'create-type', 'parent-cid'].map(
    (key) => info.details[key],
  );
}

describe('what diskmorph writes, qemu-img reads', () => {
  test.each(cases)('$name as $subformat', async ({ item, subformat }) => {
    const { path, image } = await rawFor(item);
    const target = join(directory, `ours-${item.name}-${subformat}.vmdk`);
    await writeVmdk(target, image, { subformat });
    const info = JSON.parse(await qemuImg('info', '--output=json', target));
    expect(info['format']).toBe('vmdk');
    expect(info['format-specific'].data['create-type']).toBe(subformat);
    const grain = subformat === 'streamOptimized' ? 65_536 : 512;
    expect(info['virtual-size']).toBe(Math.ceil(item.size / grain) * grain);
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'vmdk', path, target)).toContain('Images are identical.');
    expect(await qemuImg('check', '-f', 'vmdk', target)).toContain('No errors');
    const again = await openVmdk(target);
    await expectContent(again, item);
    await again.close();
  });
});

describe('what qemu-img writes, diskmorph reads', () => {
  test.each(cases)('$name as $subformat', async ({ item, subformat }) => {
    const { path } = await rawFor(item);
    const target = join(directory, `theirs-${item.name}-${subformat}.vmdk`);
    await qemuImg('convert', '-f', 'raw', '-O', 'vmdk', '-o', `subformat=${subformat}`, path, target);
    const opened = await openVmdk(target);
    expect(opened.virtualSize).toBe(item.size);
    expect(opened.info.subformat).toBe(subformat);
    await expectContent(opened, item);
    await opened.close();
    const source = await fileSource(target);
    const report = await vmdk.check?.(source);
    expect(report).toMatchObject({ corruptions: 0, leaks: 0 });
    const { findings } = await vmdk.examine(source);
    expect(findings.filter((finding) => finding.code !== 'foreign-extent')).toEqual([]);
    await source.close();
  });
});

describe('options reach the descriptor as qemu-img writes them', () => {
  const adapters = ['ide', 'lsilogic', 'buslogic', 'legacyESX'].flatMap((adapter_type) => [
    { adapter_type, hwversion: '4' },
    { adapter_type, hwversion: '17' },
  ]);
  test.each(adapters)('$adapter_type, hardware version $hwversion', async (options) => {
    const item = disk('options', 8 * MIB, [[MIB, 5000]]);
    const { path, image } = await rawFor(item);
    for (const subformat of SUBFORMATS) {
      const ours = join(directory, `ours-options-${subformat}.vmdk`);
      const theirs = join(directory, `theirs-options-${subformat}.vmdk`);
      await writeVmdk(ours, image, { ...options, subformat });
      const text = Object.entries({ ...options, subformat }).map(([key, value]) => `${key}=${value}`);
      await qemuImg('convert', '-f', 'raw', '-O', 'vmdk', '-o', text.join(','), path, theirs);
      expect(await descriptorDetails(ours)).toEqual(await descriptorDetails(theirs));
      expect(await qemuImg('compare', '-f', 'raw', '-F', 'vmdk', path, ours)).toContain('Images are identical.');
    }
  });

  test('compat6 is hardware version 6, toolsversion and zeroed_grain are kept', async () => {
    const { path, image } = await rawFor(disk('compat6', 2 * MIB, [[0, 70_000]]));
    const target = join(directory, 'compat6.vmdk');
    await writeVmdk(target, image, { compat6: 'on', toolsversion: '10336', zeroed_grain: 'on' });
    const info = await infoOf(target);
    expect(info.details).toMatchObject({
      'hardware-version': '6',
      'tools-version': '10336',
      'header-version': 2,
      'zeroed-grains': true,
    });
    expect(await qemuImg('compare', '-f', 'raw', path, target)).toContain('Images are identical.');
  });

  test('grains that qemu-img marks as zeros are zero, not absent', async () => {
    const target = join(directory, 'zeroed.vmdk');
    await qemuImg('create', '-f', 'vmdk', '-o', 'zeroed_grain=on', target, '4M');
    const writes = ['-c', 'write -P 7 0 1M', '-c', 'write -z 256k 128k'];
    await promisify(execFile)(await requirePackage('qemu-io', 'qemu-utils'), ['-f', 'vmdk', ...writes, target]);
    const opened = await openVmdk(target);
    const states: string[] = [];
    for await (const extent of opened.extents({ offset: 0, length: opened.virtualSize })) {
      states.push(`${extent.state} ${extent.offset} ${extent.length}`);
    }
    expect(states).toEqual(['data 0 262144', 'zero 262144 131072', 'data 393216 655360', 'absent 1048576 3145728']);
    await opened.close();
  });
});

test('the files of a disk are as large as measure said, when nothing shrinks', async () => {
  const item = disk('measured', 6 * MIB, [[0, 3 * MIB]]);
  const { image } = await rawFor(item);
  for (const subformat of ['monolithicSparse', 'twoGbMaxExtentSparse'] as const) {
    const target = join(directory, `measured-${subformat}.vmdk`);
    await writeVmdk(target, image, { subformat });
    const asked = {
      virtualSize: item.size,
      options: { subformat },
      fileName: `measured-${subformat}.vmdk`,
      seed: new Uint8Array(16),
    };
    const layout = vmdk.writer?.layout(asked);
    if (layout === undefined) throw new Error('vmdk can be written');
    let size = 0;
    for (const file of layout.files) {
      size += (await stat(file.name === '' ? target : join(directory, file.name))).size;
    }
    expect(vmdk.writer?.measure(layout, 48).required).toBe(size);
  }
});

test('only the granted files are opened, and only beside the descriptor', async () => {
  const item = disk('granted', 3 * GIB, [[0, 4096]]);
  const { image } = await rawFor(item);
  const target = join(directory, 'granted.vmdk');
  await writeVmdk(target, image, { subformat: 'twoGbMaxExtentSparse' });
  const asked: string[] = [];
  await (await openVmdk(target, besides(target, asked))).close();
  expect(asked).toEqual(['granted-s001.vmdk', 'granted-s002.vmdk']);
});
