/** Images on real block devices. What is common to all devices is tested in memory: `disk-image/test/device-target.test.ts`. */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeEach, expect, test } from 'vitest';
import { convertFile } from '@diskmorph/disk-image-node';
import { requirePackage } from '../../../fixtures/peers.ts';
import { useLoopDevices } from '../../../fixtures/loop-device.ts';
import { ours, QEMU_IMG_BIN, run, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const MIB = 2 ** 20;
const scratch = useScratch();
const loops = useLoopDevices();
let folder: string;

async function io(file: string, format: string, ...commands: readonly string[]): Promise<void> {
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  await promisify(execFile)(qemuIo, ['-f', format, ...commands.flatMap((command) => ['-c', command]), file], {
    cwd: folder,
  });
}

let count = 0;

function device(size: number): Promise<string> {
  return loops.make(scratch.path(`device-${count++}`), size);
}

beforeEach(async () => {
  folder = scratch.path('.');
  await theirs(folder, 'create', '-q', '-f', 'raw', 'source.raw', '10M');
  await io('source.raw', 'raw', 'write -P 1 0 1M', 'write -P 2 5M 64k', 'write -P 3 9000k 4k');
});

const clean = { code: 0, out: '', err: '' };

async function bytesOf(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, offset);
    return bytes;
  } finally {
    await file.close();
  }
}

test('a raw disk covers what was on the device, zeros included, and nothing behind it', async () => {
  const path = await device(12 * MIB);
  expect(await ours(folder, 'convert', '-f', 'raw', '-O', 'raw', 'source.raw', path)).toEqual(clean);
  expect((await bytesOf(path, 0, 10 * MIB)).equals(await bytesOf(scratch.path('source.raw'), 0, 10 * MIB))).toBe(true);
  expect(new Set(await bytesOf(path, 10 * MIB, 2 * MIB))).toEqual(new Set([0xaa]));
});

test.each(['raw', 'qcow2'])('several threads write a %s image onto a device', async (format) => {
  await theirs(folder, 'convert', '-f', 'raw', '-c', '-O', 'qcow2', 'source.raw', 'source.qcow2');
  const path = await device(12 * MIB);
  const source = { path: scratch.path('source.qcow2'), format: 'qcow2' };
  expect(await convertFile({ source, target: { path, format }, overwrite: true, workers: 3 })).toMatchObject({
    verified: true,
  });
  const compared = await theirs(folder, 'compare', '-f', 'raw', '-F', format, 'source.raw', path);
  expect(compared.code).toBe(format === 'raw' ? 1 : 0);
  expect((await bytesOf(path, 10 * MIB, MIB)).every((byte) => byte === 0xaa)).toBe(true);
});

test.each([
  ['qcow2', []],
  ['qcow2', ['-c']],
  ['qcow2', ['-o', 'compat=0.10']],
  ['qcow2', ['-o', 'preallocation=metadata']],
  ['vmdk', []],
  ['vpc', ['-o', 'force_size']],
  ['vhdx', []],
  ['vhdx', ['-o', 'subformat=fixed,block_size=1M']],
  ['vdi', []],
  ['vdi', ['-o', 'static=on']],
] as const)('%s with %j on a device is what QEMU reads there', async (format, options) => {
  const path = await device(32 * MIB);
  expect(await ours(folder, 'convert', '-f', 'raw', '-O', format, ...options, 'source.raw', path)).toEqual(clean);
  const compared = await theirs(folder, 'compare', '-f', 'raw', '-F', format, 'source.raw', path);
  expect(compared).toMatchObject({ code: 0, out: 'Images are identical.\n' });
  expect(JSON.parse((await theirs(folder, 'info', '--output=json', path)).out)).toMatchObject({ format });
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, path)).code);
});

test('a conversion onto a device can be read back', async () => {
  const path = await device(32 * MIB);
  const args = ['convert', '-f', 'raw', '-O', 'qcow2', 'source.raw', path];
  expect(await run(QEMU_IMG_BIN, args, folder, { DISKMORPH_VERIFY: '1' })).toEqual(clean);
});

test('an overlay on a device', async () => {
  await theirs(folder, 'create', '-q', '-f', 'qcow2', 'base.qcow2', '10M');
  await io('base.qcow2', 'qcow2', 'write -P 1 0 2M');
  const path = await device(8 * MIB);
  const base = ['-B', scratch.path('base.qcow2'), '-F', 'qcow2'];
  expect(await ours(folder, 'convert', '-f', 'raw', '-O', 'qcow2', '-c', ...base, 'source.raw', path)).toEqual(clean);
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', 'qcow2', 'source.raw', path)).code).toBe(0);
  expect((await theirs(folder, 'check', path)).code).toBe(0);
});

test.each([
  ['qcow2', '100G'],
  ['qcow2', '10M', '-o', 'cluster_size=4k,preallocation=metadata'],
  ['vhdx', '10M'],
  ['vdi', '10M'],
])('create -f %s of %s on a device makes an empty disk', async (format, size, ...options) => {
  const path = await device(32 * MIB);
  const args = ['create', '-f', format, ...options, path, size];
  const expected = await theirs(folder, ...args);
  expect(await ours(folder, ...args)).toEqual(expected);
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, path)).code);
  await theirs(folder, 'create', '-q', '-f', 'raw', 'empty.raw', size);
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', format, 'empty.raw', path)).code).toBe(0);
});

test('what exists on a device is filled: qcow2 in place, and what only looks like it is refused', async () => {
  const path = await device(32 * MIB);
  const args = ['convert', '-n', '-f', 'raw', '-O', 'qcow2', 'source.raw', path];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
  await theirs(folder, 'create', '-q', '-f', 'qcow2', path, '10M');
  expect(await ours(folder, ...args)).toEqual(clean);
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', 'qcow2', 'source.raw', path)).code).toBe(0);
  expect((await theirs(folder, 'check', path)).code).toBe(0);
});

test('convert -n onto a raw device leaves no old byte', async () => {
  const path = await device(10 * MIB);
  expect(await ours(folder, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'source.raw', path)).toEqual(clean);
  expect((await bytesOf(path, 0, 10 * MIB)).equals(await bytesOf(scratch.path('source.raw'), 0, 10 * MIB))).toBe(true);
});

test('ours fails as theirs: convert -n onto a raw device that is too small', async () => {
  const path = await device(4 * MIB);
  const args = ['convert', '-n', '-f', 'raw', '-O', 'raw', 'source.raw', path];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
  expect(new Set(await bytesOf(path, 0, 4 * MIB))).toEqual(new Set([0xaa]));
});

test('convert -n into a qcow2 image on a device needs no more of it than theirs', async () => {
  await io('source.raw', 'raw', 'write -P 9 0 10M');
  const path = await device(11 * MIB);
  await theirs(folder, 'create', '-q', '-f', 'qcow2', path, '10M');
  expect(await ours(folder, 'convert', '-n', '-f', 'raw', '-O', 'qcow2', 'source.raw', path)).toEqual(clean);
  expect((await theirs(folder, 'compare', '-f', 'raw', '-F', 'qcow2', 'source.raw', path)).code).toBe(0);
  expect((await theirs(folder, 'check', path)).code).toBe(0);
});

test('an image that is not changed in place is not replaced on a device', async () => {
  const path = await device(32 * MIB);
  await ours(folder, 'create', '-q', '-f', 'vdi', path, '10M');
  const failed = await ours(folder, 'convert', '-n', '-f', 'raw', '-O', 'vdi', 'source.raw', path);
  expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('leave out -n') });
});

test('ours fails as theirs: create of a raw disk larger than its device', async () => {
  const args = ['create', '-f', 'raw', await device(4 * MIB), '1G'];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
});

test.each([
  ['raw', []],
  ['qcow2', ['-o', 'preallocation=full']],
  ['vdi', ['-o', 'static=on']],
] as const)(
  '%s with %j onto a device that is surely too small writes nothing, and says the sizes',
  async (format, options) => {
    const path = await device(4 * MIB);
    const failed = await ours(folder, 'convert', '-f', 'raw', '-O', format, ...options, 'source.raw', path);
    expect(failed).toMatchObject({ code: 1, out: '' });
    expect(failed.err).toMatch(/Cannot grow device files: The device has 4194304 bytes, and the image needs \d+/);
    expect(new Set(await bytesOf(path, 0, 4 * MIB))).toEqual(new Set([0xaa]));
  },
);

test('a device that turns out too small does not look like an image', async () => {
  await io('source.raw', 'raw', 'write -P 9 0 10M');
  const path = await device(4 * MIB);
  await theirs(folder, 'create', '-q', '-f', 'qcow2', path, '1M');
  const failed = await ours(folder, 'convert', '-f', 'raw', '-O', 'qcow2', 'source.raw', path);
  expect(failed).toMatchObject({ code: 1, out: '', err: expect.stringContaining('No space left on device') });
  expect((await theirs(folder, 'info', '-f', 'qcow2', path)).err).toContain('Image is not in qcow2 format');
});

test.each([
  ['vmdk', 'subformat=monolithicFlat', 'several files'],
  ['vmdk', 'subformat=streamOptimized', 'the end of the image'],
  ['vpc', 'subformat=fixed', 'the end of the image'],
])('%s with %s is refused on a device', async (format, options, why) => {
  const path = await device(32 * MIB);
  const failed = await ours(folder, 'convert', '-f', 'raw', '-O', format, '-o', options, 'source.raw', path);
  expect(failed).toMatchObject({ code: 1, err: expect.stringContaining(why) });
  expect(new Set(await bytesOf(path, 0, MIB))).toEqual(new Set([0xaa]));
});
