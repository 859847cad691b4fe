import { beforeAll, expect, test } from 'vitest';
import { makeImages } from './qemu-img-images.ts';
import { comparable, ours, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;
let images: readonly string[];

beforeAll(async () => {
  folder = scratch.path('.');
  images = await makeImages(folder);
});

const LOOKS: readonly (readonly string[])[] = [
  ['info'],
  ['info', '--output=json'],
  ['check'],
  ['check', '--output=json'],
  ['map'],
  ['map', '--output=json'],
  ['measure', '-O', 'qcow2'],
  ['measure', '-O', 'qcow2', '--output=json'],
];

test.each(LOOKS)('%s %s says what qemu-img 7.2 says, byte for byte, of images of every kind', async (...look) => {
  const command = look.filter((part) => part !== undefined);
  for (const image of images) {
    const expected = comparable(await theirs(folder, ...command, image));
    expect({ image, ...comparable(await ours(folder, ...command, image)) }).toEqual({ image, ...expected });
  }
});

test.each([
  [],
  ['frob'],
  ['info'],
  ['info', 'a', 'b'],
  ['info', 'nope'],
  ['info', '-f', 'qcow2', 'sparse.raw'],
  ['info', '-f', 'vmdk', 'sparse.raw'],
  ['info', '-f', 'vpc', 'sparse.raw'],
  ['info', '-f', 'blah', 'sparse.raw'],
  ['info', 'foo:bar'],
  ['info', 'file:sparse.raw'],
  ['info', '.'],
  ['info', '--output=xml', 'sparse.raw'],
  ['info', '--outp', 'json', 'sparse.raw', '-U'],
  ['info', '-Uf', 'raw', 'sparse.raw'],
  ['info', '-fraw', 'sparse.raw', '--force-share', '--output=json'],
  ['info', '--backing-chain', 'over2.qcow2'],
  ['info', '--backing-chain', '--output=json', 'over2.qcow2'],
  ['info', '-f', 'vpc', 'fixed.vpc'],
  ['info', '--image-opts', 'driver=qcow2,file.filename=a.qcow2'],
  ['info', '--image-opts', 'a.qcow2'],
  ['info', '--image-opts', 'driver=raw,offset=4k,size=8k,file.filename=sparse.raw'],
  [
    'info',
    '--output=json',
    'json:{"driver":"raw","file":{"driver":"file","filename":"a.qcow2"},"offset":4096,"size":8192}',
  ],
  ['info', 'json:{"file.filename":"a.qcow2"}'],
  ['check', '-r', 'frob', 'a.qcow2'],
  ['map', '-f', 'vpc', 'fixed.vpc'],
  ['map', '-f', 'vpc', '--output=json', 'fixed.vpc'],
  ['map', '--start-offset=5M', '--max-length=1M', '--output=json', 'a.qcow2'],
  ['measure'],
  ['measure', '--size', '1G', 'a.qcow2'],
  ['measure', '--size', '1G', '-O', 'qcow2', '--output=json'],
  ['measure', '--size', '1G'],
  ['measure', '--size', '1G', '-O', 'qcow2', '-o', 'cluster_size=4k'],
  ['measure', '-O', 'qcow2', '-l', 'first', 'a.qcow2'],
  ['compare', 'a.qcow2'],
  ['compare', 'a.qcow2', 'monolithicSparse.vmdk'],
  ['compare', '-s', 'a.qcow2', 'monolithicSparse.vmdk'],
  ['compare', 'a.qcow2', 'over.qcow2'],
  ['compare', 'a.qcow2', 'sparse.raw'],
  ['compare', '-s', 'a.qcow2', 'sparse.raw'],
  ['compare', '-q', 'a.qcow2', 'sparse.raw'],
  ['compare', 'compressed.qcow2', 'dynamic.vdi'],
  ['compare', 'nope', 'sparse.raw'],
  ['compare', '-F', 'qcow2', 'a.qcow2', 'sparse.raw'],
  ['snapshot', '-l', 'a.qcow2'],
  ['snapshot', '-l', 'sparse.raw'],
  ['dd'],
  ['dd', 'if=sparse.raw', 'of=o.raw', 'bs=0'],
])('ours answers as theirs: %s %s %s %s %s %s', async (...given) => {
  const args = given.filter((part) => part !== undefined);
  expect(comparable(await ours(folder, ...args))).toEqual(comparable(await theirs(folder, ...args)));
});

test('the version is one that callers can compare', async () => {
  const shown = await ours(folder, '--version');
  expect(shown).toMatchObject({ code: 0, err: '' });
  expect(/qemu-img version ([0-9.]*)/.exec(shown.out)?.[1]).toBe('7.2.22');
});

test('a chain that comes back to itself is found', async () => {
  await theirs(folder, 'create', '-q', '-f', 'qcow2', '-u', '-b', 'loop2.qcow2', '-F', 'qcow2', 'loop1.qcow2', '1M');
  await theirs(folder, 'create', '-q', '-f', 'qcow2', '-u', '-b', 'loop1.qcow2', '-F', 'qcow2', 'loop2.qcow2', '1M');
  const args = ['info', '--backing-chain', 'loop1.qcow2'];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
  expect(await ours(folder, 'convert', 'loop1.qcow2', 'loop.raw')).toMatchObject({ code: 1, out: '' });
});
