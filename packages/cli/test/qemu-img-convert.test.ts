import { readdir, readFile, rm, truncate } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { makeImages } from './qemu-img-images.ts';
import { comparable, ours, QEMU_IMG_BIN, run, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;
let images: readonly string[];

beforeAll(async () => {
  folder = scratch.path('.');
  images = await makeImages(folder);
});

/** These hold what cannot be read: another key, or a part that is not a disk. */
const UNREADABLE: ReadonlySet<string> = new Set(['aes.qcow2']);

test('every readable image becomes the same raw disk as with qemu-img', async () => {
  for (const image of images.filter((name) => !UNREADABLE.has(name))) {
    const converted = await ours(folder, 'convert', '-O', 'raw', image, 'ours.raw');
    expect({ image, ...converted }).toEqual({ image, code: 0, out: '', err: '' });
    const compared = await theirs(folder, 'compare', '-F', 'raw', image, 'ours.raw');
    expect({ image, out: compared.out }).toEqual({ image, out: 'Images are identical.\n' });
  }
});

test.each([
  ['qcow2'],
  ['qcow2', '-c'],
  ['qcow2', '-o', 'compat=0.10'],
  ['qcow2', '-c', '-o', 'compression_type=zstd', '-W', '-m', '4'],
  ['qcow2', '-o', 'cluster_size=4k,refcount_bits=64', '-o', 'extended_l2=off'],
  ['qcow2', '-S', '0'],
  ['qcow2', '-o', 'preallocation=metadata'],
  ['vmdk'],
  ['vmdk', '-o', 'subformat=streamOptimized', '-c'],
  ['vmdk', '-o', 'subformat=monolithicFlat'],
  ['vpc', '-o', 'force_size'],
  ['vpc', '-o', 'subformat=fixed,force_size=on'],
  ['vhdx'],
  ['vhdx', '-o', 'subformat=fixed,block_size=1M'],
  ['vdi'],
  ['vdi', '-o', 'static=on'],
  ['raw', '-t', 'none', '-T', 'none', '-q'],
  ['raw', '-t', 'writeback', '-t', 'none'],
])('convert -O %s %s %s gives an image that qemu-img finds whole and equal', async (...given) => {
  const [format = '', ...options] = given.filter((part) => part !== undefined);
  const target = `target.${format}`;
  expect(await ours(folder, 'convert', '-O', format, ...options, 'a.qcow2', target)).toEqual({
    code: 0,
    out: '',
    err: '',
  });
  expect(await theirs(folder, 'compare', '-F', format, 'a.qcow2', target)).toMatchObject({
    code: 0,
    out: 'Images are identical.\n',
  });
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, target)).code);
});

test.each([
  ['convert'],
  ['convert', 'sparse.raw'],
  ['convert', '-f'],
  ['convert', '-O', 'qcow2', 'nope', 'y'],
  ['convert', '-O', 'blah', 'sparse.raw', 'y'],
  ['convert', '-f', 'blah', 'sparse.raw', 'y'],
  ['convert', '-O', 'dmg', 'sparse.raw', 'y'],
  ['convert', '-c', '-O', 'raw', 'sparse.raw', 'y'],
  ['convert', '-O', 'raw', '-o', 'foo=bar', 'sparse.raw', 'y'],
  ['convert', '-O', 'raw', '-o', 'preallocation=metadata', 'sparse.raw', 'y'],
  ['convert', '-O', 'qcow2', '-o', 'preallocation=frob', 'sparse.raw', 'y'],
  ['convert', '-O', 'qcow2', '-o', 'cluster_size=3', 'sparse.raw', 'y'],
  ['convert', '-O', 'vmdk', '-o', 'subformat=frob', 'sparse.raw', 'y'],
  ['convert', '-S', '5', 'sparse.raw', 'y'],
  ['convert', '-m', '99', 'sparse.raw', 'y'],
  ['convert', '-t', 'frob', 'sparse.raw', 'y'],
  ['convert', '-T', 'frob', 'sparse.raw', 'y'],
  ['convert', '-r', '5x', 'sparse.raw', 'y'],
  ['convert', '--target-is-zero', 'sparse.raw', 'y'],
  ['convert', '--target-image-opts', 'sparse.raw', 'driver=raw,file.filename=y'],
  ['convert', '--image-opts', '-f', 'raw', 'driver=raw,file.filename=sparse.raw', 'y'],
  ['convert', '-C', '-S', '4k', 'sparse.raw', 'y'],
  ['convert', '-C', '-c', 'sparse.raw', 'y'],
  ['convert', '-l', 'nosnap', 'a.qcow2', 'y'],
  ['convert', '-l', 'first', 'a.qcow2', 'over.qcow2', 'y'],
  ['convert', '-B', 'a.qcow2', '-O', 'qcow2', 'a.qcow2', 'y'],
  ['convert', '-B', 'a.qcow2', '-F', 'qcow2', '-O', 'raw', 'a.qcow2', 'y'],
  ['convert', '-n', 'sparse.raw', 'nope'],
  ['convert', '-n', 'a.qcow2', 'sparse.raw'],
  ['convert', 'sparse.raw', 'nofolder/y'],
  ['convert', 'sparse.raw', '.'],
  ['create'],
  ['create', 'y'],
  ['create', '-f', 'blah', 'y', '1M'],
  ['create', '-f', 'qcow2', 'y', '10X'],
  ['create', '-f', 'qcow2', 'y', '-5'],
  ['create', '-f', 'qcow2', 'y', '1M', '2M'],
  ['create', '-f', 'qcow2', '-o', 'foo=1', 'y', '1M'],
  ['create', '-f', 'qcow2', '-o', 'cluster_size=3', 'y', '1M'],
  ['create', '-f', 'qcow2', '-o', 'size=1Z', 'y'],
  ['create', '-f', 'qcow2', '-o', 'lazy_refcounts=maybe', 'y', '1M'],
  ['create', '-f', 'qcow2', '-b', 'nope', '-F', 'qcow2', 'y'],
  ['create', '-f', 'raw', '-b', 'a.qcow2', '-F', 'qcow2', 'y'],
  ['create', '-f', 'qcow2', 'nofolder/y', '1M'],
])('ours fails as theirs: %s %s %s %s %s %s %s', async (...given) => {
  const args = given.filter((part) => part !== undefined);
  const mine = await ours(folder, ...args);
  expect(await readdir(folder)).not.toContain('y');
  expect(mine).toEqual(await theirs(folder, ...args));
  await rm(scratch.path('y'), { force: true });
});

test.each([
  ['raw'],
  ['raw', '-o', 'preallocation=falloc'],
  ['qcow2'],
  ['qcow2', '-o', 'compat=0.10'],
  ['qcow2', '-o', 'compression_type=zstd,lazy_refcounts,extended_l2=on,refcount_bits=1,cluster_size=32k'],
  ['qcow2', '-o', 'preallocation=metadata'],
  ['vmdk'],
  ['vmdk', '-o', 'subformat=streamOptimized,adapter_type=lsilogic,hwversion=6'],
  ['vpc'],
  ['vpc', '-o', 'subformat=fixed,force_size'],
  ['vhdx'],
  ['vhdx', '-o', 'block_size=1M,log_size=2M,subformat=fixed'],
  ['vdi'],
  ['vdi', '-o', 'static=on'],
])('create -f %s %s %s prints and makes what theirs does', async (...given) => {
  const [format = '', ...options] = given.filter((part) => part !== undefined);
  const name = `new.${format}`;
  const args = ['create', `-f${format}`, ...options, name, '10M'];
  const expected = await theirs(folder, ...args);
  const facts = await theirs(folder, 'info', '-f', format, '--output=json', name);
  expect(await ours(folder, ...args)).toEqual(expected);
  const made = comparable(await theirs(folder, 'info', '-f', format, '--output=json', name));
  expect({ ...made, out: made.out.replace(/"cid": \d+/, '') }).toEqual({
    ...comparable(facts),
    out: comparable(facts).out.replace(/"cid": \d+/, ''),
  });
  expect([0, 63]).toContain((await theirs(folder, 'check', '-f', format, name)).code);
});

test('several sources become one disk', async () => {
  await ours(folder, 'convert', '-f', 'raw', 'sparse.raw', 'odd.raw', 'joined.raw');
  await theirs(folder, 'convert', '-f', 'raw', 'sparse.raw', 'odd.raw', 'expected.raw');
  expect((await readFile(scratch.path('joined.raw'))).equals(await readFile(scratch.path('expected.raw')))).toBe(true);
});

test('a snapshot, an overlay and an image that is there', async () => {
  expect(await ours(folder, 'convert', '-l', 'snapshot.name=first', 'a.qcow2', 'snapshot.raw')).toMatchObject({
    code: 0,
  });
  await theirs(folder, 'create', '-q', '-f', 'qcow2', 'existing.qcow2', '40M');
  expect(await ours(folder, 'convert', '-n', '-O', 'qcow2', 'over2.qcow2', 'existing.qcow2')).toMatchObject({
    code: 0,
    err: '',
  });
  expect((await theirs(folder, 'check', 'existing.qcow2')).code).toBe(0);
  expect((await theirs(folder, 'compare', 'over2.qcow2', 'existing.qcow2')).out).toContain('Images are identical.');
  const overlay = ['convert', '-O', 'qcow2', '-B', 'a.qcow2', '-F', 'qcow2', 'over2.qcow2', 'overlay.qcow2'];
  expect(await ours(folder, ...overlay)).toMatchObject({ code: 0, err: '' });
  expect((await theirs(folder, 'check', 'overlay.qcow2')).code).toBe(0);
  expect((await theirs(folder, 'compare', 'over2.qcow2', 'overlay.qcow2')).code).toBe(0);
});

test('a part of a file is an image by options and by a json: name', async () => {
  await ours(folder, 'convert', '--image-opts', 'driver=raw,offset=1M,size=8k,file.filename=sparse.raw', 'part.raw');
  expect(new Set(await readFile(scratch.path('part.raw')))).toEqual(new Set([2]));
});

test('progress is what callers read', async () => {
  const { out } = await ours(folder, 'convert', '-p', 'a.qcow2', 'shown.raw');
  expect(out).toMatch(/^ {4}\(0\.00\/100%\)\r(?: {4}\(\d+\.\d\d\/100%\)\r)* {4}\(100\.00\/100%\)\r\n$/);
});

test('a truncated source fails, and leaves no target', async () => {
  await theirs(folder, 'convert', 'a.qcow2', '-O', 'raw', '-S', '0', 'whole.raw');
  await theirs(folder, 'convert', 'whole.raw', '-O', 'qcow2', 'cut.qcow2');
  await truncate(scratch.path('cut.qcow2'), 1_000_000);
  const failed = await ours(folder, 'convert', 'cut.qcow2', 'cut.raw');
  expect(failed).toMatchObject({ code: 1, out: '' });
  expect(await readdir(folder)).not.toContain('cut.raw');
  const salvaged = await ours(folder, 'convert', '--salvage', 'cut.qcow2', 'cut.raw');
  expect(salvaged).toMatchObject({ code: 0 });
  expect(salvaged.err).toContain('warning: error while reading offset');
});

test('no reference is followed where the environment denies', async () => {
  const env = { DISKMORPH_REFERENCES: 'deny' };
  for (const args of [
    ['convert', 'over.qcow2', 'denied.raw'],
    ['map', 'over.qcow2'],
    ['info', '--backing-chain', 'over.qcow2'],
    ['create', '-f', 'qcow2', '-b', 'a.qcow2', '-F', 'qcow2', 'denied.qcow2'],
    ['convert', 'monolithicFlat.vmdk', 'denied.raw'],
    ['convert', 'external.qcow2', 'denied.raw'],
  ]) {
    expect({ args, ...(await run(QEMU_IMG_BIN, args, folder, env)) }).toMatchObject({ args, code: 1 });
  }
  expect((await readdir(folder)).filter((name) => name.startsWith('denied'))).toEqual([]);
});

test.each(['nbd://127.0.0.1:1/x', 'json:{"driver":"nbd","host":"x"}', 'json:{"file":{"driver":"https","url":"x"}}'])(
  'nothing over a network is opened: %s',
  async (name) => {
    const refused = await ours(folder, 'info', name);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/^qemu-img: Could not open '/);
  },
);
