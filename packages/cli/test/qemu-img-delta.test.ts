/** Differencing VMDKs: made by either program, both see the same. */
import { copyFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { imageMaker } from './qemu-img-map-images.ts';
import { comparable, ours, QEMU_IMG_BIN, run, theirs } from './qemu-img-run.ts';
import { diskmorph } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;

beforeAll(async () => {
  folder = scratch.path('.');
  const { img, io } = await imageMaker(folder);
  const child = (name: string, base: string, ...more: readonly string[]): Promise<void> =>
    img('create', '-q', '-f', 'vmdk', '-b', base, '-F', 'vmdk', ...more, name);
  await img('create', '-q', '-f', 'vmdk', 'base.vmdk', '10M');
  await io('vmdk', 'base.vmdk', 'write -P 1 0 1M', 'write -P 2 5M 100k');
  await child('child.vmdk', 'base.vmdk');
  await io('vmdk', 'child.vmdk', 'write -P 7 64k 64k', 'write -P 8 3M 4k');
  await child('zeroed.vmdk', 'child.vmdk', '-o', 'zeroed_grain=on');
  await io('vmdk', 'zeroed.vmdk', 'write -z 0 256k', 'write -P 9 9M 1M');
  await child('split.vmdk', 'base.vmdk', '-o', 'subformat=twoGbMaxExtentSparse');
  await io('vmdk', 'split.vmdk', 'write -P 3 512k 1M');
  await child('stream.vmdk', 'child.vmdk', '-o', 'subformat=streamOptimized');
  await io('vmdk', 'stream.vmdk', 'write -P 4 2M 64k');
  await img('create', '-q', '-f', 'qcow2', '-b', 'zeroed.vmdk', '-F', 'vmdk', 'mixed.qcow2', '12M');
  await io('qcow2', 'mixed.qcow2', 'write -P 5 6M 64k', 'write -z 9M 128k');
  await img('create', '-q', '-f', 'qcow2', 'source.qcow2', '10M');
  await io('qcow2', 'source.qcow2', 'write -P 1 0 512k', 'write -P 6 4M 70k');
  // A parent that was written to after its child was made, and one that is not there.
  await copyFile(join(folder, 'base.vmdk'), join(folder, 'changed.vmdk'));
  await child('stale.vmdk', 'changed.vmdk');
  await io('vmdk', 'changed.vmdk', 'write -P 9 2M 64k');
  await img('create', '-q', '-f', 'vmdk', 'gone.vmdk', '10M');
  await child('orphan.vmdk', 'gone.vmdk');
  await rm(join(folder, 'gone.vmdk'));
});

const READABLE = ['child.vmdk', 'zeroed.vmdk', 'split.vmdk', 'stream.vmdk', 'mixed.qcow2'];

test.each([
  ['info'],
  ['info', '--output=json'],
  ['info', '--backing-chain'],
  ['info', '--backing-chain', '--output=json'],
  ['map'],
  ['map', '--output=json'],
  ['check'],
  ['check', '--output=json'],
  ['measure', '-O', 'qcow2'],
  ['compare', 'base.vmdk'],
  ['compare', '-s', 'child.vmdk'],
])('%s %s %s says what qemu-img says', async (...look) => {
  const command = look.filter((part) => part !== undefined);
  for (const name of READABLE) {
    const mine = comparable(await ours(folder, ...command, name));
    expect({ name, ...mine }).toEqual({ name, ...comparable(await theirs(folder, ...command, name)) });
  }
});

test('a delta is converted with its parent, by both of our programs', async () => {
  for (const name of READABLE) {
    expect(await ours(folder, 'convert', '-O', 'raw', name, 'ours.raw')).toEqual({ code: 0, out: '', err: '' });
    expect(await theirs(folder, 'compare', '-F', 'raw', name, 'ours.raw')).toMatchObject({ code: 0 });
    const args = ['convert', '--allow-references', folder, '--force', '-O', 'raw'];
    expect(await diskmorph(...args, join(folder, name), join(folder, 'own.raw'))).toMatchObject({ code: 0 });
    expect(await theirs(folder, 'compare', '-F', 'raw', name, 'own.raw')).toMatchObject({ code: 0 });
  }
});

test('without leave no parent is opened', async () => {
  const denied = await diskmorph('convert', '-O', 'raw', join(folder, 'child.vmdk'), join(folder, 'denied.raw'));
  expect(denied).toMatchObject({ code: 14 });
  expect(denied.err).toContain('base.vmdk');
  for (const args of [
    ['convert', 'child.vmdk', 'denied.raw'],
    ['map', 'child.vmdk'],
    ['info', '--backing-chain', 'child.vmdk'],
    ['create', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'denied.vmdk'],
  ]) {
    const ended = await run(QEMU_IMG_BIN, args, folder, { DISKMORPH_REFERENCES: 'deny' });
    expect({ args, ...ended }).toMatchObject({ args, code: 1, err: expect.stringContaining('base.vmdk') });
  }
});

test.each([
  ['info', 'stale.vmdk'],
  ['map', '--output=json', 'stale.vmdk'],
  ['check', 'stale.vmdk'],
  ['info', 'orphan.vmdk'],
  ['info', '--backing-chain', 'orphan.vmdk'],
  ['map', 'orphan.vmdk'],
  ['convert', 'orphan.vmdk', 'y'],
  ['check', 'orphan.vmdk'],
  ['rebase', '-u', '-b', 'base.vmdk', '-F', 'vmdk', 'child.vmdk'],
  ['snapshot', '-l', 'child.vmdk'],
])('ours answers as theirs: %s %s %s %s %s %s %s', async (...given) => {
  const args = given.filter((part) => part !== undefined);
  expect(comparable(await ours(folder, ...args))).toEqual(comparable(await theirs(folder, ...args)));
});

test.each([
  ['convert', 'stale.vmdk', 'y'],
  ['compare', 'stale.vmdk', 'base.vmdk'],
])('a parent that was changed since is an error: %s', async (...args) => {
  const mine = await ours(folder, ...args);
  const { code, out } = await theirs(folder, ...args);
  expect({ code: mine.code, out: mine.out }).toEqual({ code, out });
  expect(mine.err).toContain('changed.vmdk');
  await rm(join(folder, 'y'), { force: true });
});

test('parents that come back to themselves are found', async () => {
  await copyFile(join(folder, 'child.vmdk'), join(folder, 'kept.vmdk'));
  await rename(join(folder, 'kept.vmdk'), join(folder, 'turn.vmdk'));
  const { img } = await imageMaker(folder);
  await img('create', '-q', '-f', 'vmdk', '-b', 'turn.vmdk', '-F', 'vmdk', 'loop.vmdk');
  await copyFile(join(folder, 'loop.vmdk'), join(folder, 'turn.vmdk'));
  expect(await ours(folder, 'convert', 'loop.vmdk', 'y')).toMatchObject({ code: 1, out: '' });
  expect(await ours(folder, 'map', 'loop.vmdk')).toMatchObject({ code: 1, out: '' });
});

test.each([
  [[]],
  [['-o', 'zeroed_grain=on']],
  [['-o', 'subformat=twoGbMaxExtentSparse']],
  [['-c', '-o', 'subformat=streamOptimized']],
])('convert -B makes a delta that qemu-img reads: %s', async (options) => {
  for (const backing of [
    ['-B', 'child.vmdk', '-F', 'vmdk'],
    ['-o', 'backing_file=child.vmdk,backing_fmt=vmdk'],
  ]) {
    const args = ['convert', '-O', 'vmdk', ...backing, ...options, 'source.qcow2', 'delta.vmdk'];
    expect(await ours(folder, ...args)).toEqual({ code: 0, out: '', err: '' });
    expect(await theirs(folder, 'compare', 'source.qcow2', 'delta.vmdk')).toMatchObject({ code: 0 });
    expect(await theirs(folder, 'check', 'delta.vmdk')).toMatchObject({ code: 0 });
    const info = JSON.parse((await theirs(folder, 'info', '--output=json', 'delta.vmdk')).out);
    expect(info).toMatchObject({ 'backing-filename': 'child.vmdk', 'backing-filename-format': 'vmdk' });
  }
});

test.each([
  ['-B', 'source.qcow2', '-F', 'qcow2'],
  ['-B', 'source.qcow2', '-F', 'frob'],
  ['-B', 'nope.vmdk', '-F', 'vmdk'],
  ['-B', 'base.vmdk'],
  ['-B', 'base.vmdk', '-F', 'vmdk', '-o', 'subformat=monolithicFlat'],
])('convert %s %s %s %s %s %s is refused as by theirs', async (...given) => {
  const args = ['convert', '-O', 'vmdk', ...given.filter((part) => part !== undefined), 'source.qcow2', 'y'];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
});

test('nothing is committed into a VMDK in place', async () => {
  const refused = await ours(folder, 'commit', 'child.vmdk');
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.err).toContain('vmdk');
});
