/** Images taken out of files that hold them, on a real file system. */
import { mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openImageFile, unwrapImage } from '../src/index.ts';
import { temporaryUnpackDirectory } from '../src/unpack-directory.ts';
import type { UnwrapProgress, UnwrapRequest } from '../src/index.ts';
import { patched } from '../../disk-image/test/goldens.ts';
import { packedBy, sparseTar } from '../../disk-image/test/packed.ts';
import { mixedGuest, noise } from '../../disk-image/test/qcow2-peer.ts';
import { ovaOf, tarOf } from '../../disk-image/test/tar-archives.ts';

const GUEST = mixedGuest(2_000_384);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-unwrap-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function written(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path.join(folder, name), bytes);
  return path.join(folder, name);
}

/** The guest bytes of the raw image inside, and how it was found; what was unpacked is removed. */
async function guestOf(
  filePath: string,
  request: UnwrapRequest = {},
): Promise<{
  readonly bytes: Uint8Array;
  readonly wrappers: readonly string[];
  readonly innerName: string | undefined;
}> {
  const unwrapped = await unwrapImage(filePath, request);
  const image = await openImageFile({ ...unwrapped.file, format: 'raw' });
  const bytes = new Uint8Array(image.virtualSize);
  await image.read(0, bytes);
  await image.close();
  await unwrapped.cleanup();
  return { bytes, wrappers: unwrapped.wrappers, innerName: unwrapped.innerName };
}

const inTar = (content: Uint8Array, name = 'disk.img'): Uint8Array => tarOf([{ name, content }]);

describe.each([
  { name: 'a plain file', pack: async () => GUEST, wrappers: [] },
  { name: 'gz', pack: () => packedBy('gzip', ['-c'], GUEST), wrappers: ['gz'] },
  { name: 'xz', pack: () => packedBy('xz', ['-c'], GUEST), wrappers: ['xz'] },
  { name: 'bz2', pack: () => packedBy('bzip2', ['-c'], GUEST), wrappers: ['bz2'] },
  { name: 'zst', pack: () => packedBy('zstd', ['-c'], GUEST), wrappers: ['zst'] },
  { name: 'tar', pack: async () => inTar(GUEST), wrappers: ['tar'], innerName: 'disk.img' },
  {
    name: 'tar.gz',
    pack: () => packedBy('gzip', ['-c'], inTar(GUEST)),
    wrappers: ['gz', 'tar'],
    innerName: 'disk.img',
  },
  {
    name: 'ova of a gz',
    pack: async () => ovaOf([{ id: 'a', name: 'd.gz', content: await packedBy('gzip', ['-c'], GUEST) }]),
    wrappers: ['ova', 'gz'],
    innerName: 'd.gz',
  },
  {
    name: 'tar in tar in tar',
    pack: async () => inTar(inTar(inTar(GUEST))),
    wrappers: ['tar', 'tar', 'tar'],
    innerName: 'disk.img',
  },
])('$name', ({ pack, wrappers, innerName }) => {
  test('gives the image, and leaves only the file', async () => {
    const filePath = await written('image', await pack());
    const found = await guestOf(filePath);
    expect(Buffer.compare(found.bytes, GUEST)).toBe(0);
    expect(found).toMatchObject({ wrappers, innerName });
    expect(await readdir(folder)).toEqual(['image']);
  });
});

test('what an archive stores as it is, is not copied', async () => {
  const filePath = await written('image.tar', inTar(GUEST));
  const unwrapped = await unwrapImage(filePath);
  expect(unwrapped.file).toEqual({ path: filePath, window: { offset: 512, size: GUEST.length } });
  expect(await readdir(folder)).toEqual(['image.tar']);
});

test('zeros become holes, and the length is kept', async () => {
  const content = new Uint8Array(40 * 2 ** 20 + 5);
  content.fill(7, 2 ** 20, 2 ** 20 + 100);
  const unwrapped = await unwrapImage(await written('image.zst', await packedBy('zstd', ['-c'], content)));
  const { size, blocks } = await stat(unwrapped.file.path);
  expect(size).toBe(content.length);
  expect(blocks * 512).toBeLessThan(2 ** 20);
  expect(Buffer.compare(await readFile(unwrapped.file.path), content)).toBe(0);
  await unwrapped.cleanup();
  await unwrapped.cleanup();
});

describe.each(['oldgnu', 'posix'])('a %s tar with holes', (format) => {
  const content = new Uint8Array(20 * 2 ** 20);
  content.fill(7, 5 * 2 ** 20, 5 * 2 ** 20 + 100_000);
  content.set(GUEST.subarray(0, 512), 19 * 2 ** 20);

  test('is read where it lies', async () => {
    const filePath = await written('image.tar', await sparseTar(format, content));
    const unwrapped = await unwrapImage(filePath);
    expect(unwrapped).toMatchObject({
      wrappers: ['tar'],
      file: { path: filePath, scattered: { length: content.length } },
    });
    expect(await readdir(folder)).toEqual(['image.tar']);
    expect(Buffer.compare((await guestOf(filePath)).bytes, content)).toBe(0);
  });

  test('is read where it lies when it lies in another archive, and when it holds one', async () => {
    const inner = inTar(content, 'inner.img');
    const filePath = await written('image.tar', inTar(await sparseTar(format, inner), 'outer.tar'));
    const found = await guestOf(filePath);
    expect(found).toMatchObject({ wrappers: ['tar', 'tar', 'tar'], innerName: 'inner.img' });
    expect(Buffer.compare(found.bytes, content)).toBe(0);
    expect(await readdir(folder)).toEqual(['image.tar']);
  });

  test('in one with holes, and compressed, is unpacked', async () => {
    const packed = await packedBy('gzip', ['-c'], await sparseTar(format, await sparseTar('gnu', content)));
    const found = await guestOf(await written('image.tar.gz', packed));
    expect(found.wrappers).toEqual(['gz', 'tar', 'tar']);
    expect(Buffer.compare(found.bytes, content)).toBe(0);
    expect(await readdir(folder)).toEqual(['image.tar.gz']);
  });
});

test('what would take nearly all free space is not begun', async () => {
  const { bavail, bsize } = await statfs(folder);
  const work = temporaryUnpackDirectory(folder);
  await work.newFile();
  expect(() => work.take(0.95 * bavail * bsize)).toThrow(expect.objectContaining({ code: 'io' }));
  await work.remove();
  expect(await readdir(folder)).toEqual([]);
});

test('a file whose format is known is no container', async () => {
  const qcow2 = new Uint8Array(512);
  qcow2.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
  expect((await unwrapImage(await written('image.gz', qcow2))).wrappers).toEqual([]);
});

test('progress tells how much of the container was read', async () => {
  const seen: UnwrapProgress[] = [];
  const packed = await packedBy('gzip', ['-c'], noise(20 * 2 ** 20, 3));
  const filePath = await written('image.gz', packed);
  await guestOf(filePath, { onProgress: (progress) => seen.push(progress) });
  expect(seen.length).toBeGreaterThanOrEqual(2);
  expect(seen.at(-1)).toEqual({
    wrapper: 'gz',
    consumedBytes: packed.length,
    totalBytes: packed.length,
    producedBytes: 20 * 2 ** 20,
  });
});

const ZEROS = new Uint8Array(30_000_000);
const gzip = (content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> => packedBy('gzip', ['-9c'], content);
const STOPPED = AbortSignal.abort();

describe('refused, with nothing left behind', () => {
  test.each([
    { name: 'four containers', pack: async () => inTar(inTar(inTar(inTar(GUEST)))), request: {}, code: 'unsafe' },
    { name: 'one more than asked for', pack: () => gzip(GUEST), request: { maxDepth: 0 }, code: 'unsafe' },
    { name: 'too many bytes', pack: () => gzip(GUEST), request: { limits: { maxOutputBytes: 1000 } }, code: 'unsafe' },
    {
      name: 'a bomb',
      pack: () => gzip(ZEROS),
      request: { limits: { maxRatio: 500, ratioFreeBytes: 2 ** 20 } },
      code: 'unsafe',
    },
    {
      name: 'a bomb in a bomb, each within the ratio',
      pack: async () => gzip(await gzip(ZEROS)),
      request: { limits: { maxRatio: 1100, ratioFreeBytes: 2 ** 20 } },
      code: 'unsafe',
    },
    {
      name: 'a file cut short',
      pack: async () => (await gzip(GUEST)).subarray(0, 5000),
      request: {},
      code: 'truncated',
    },
    {
      name: 'a zst whose checksum does not fit',
      pack: async () => patched(await packedBy('zstd', ['-c'], GUEST), -2, [0x55, 0x55]),
      request: {},
      code: 'corrupt',
    },
    { name: 'an entry of what is no archive', pack: () => gzip(GUEST), request: { entry: 'a' }, code: 'out_of_bounds' },
    { name: 'a cancelled one', pack: () => gzip(GUEST), request: { signal: STOPPED }, code: 'aborted' },
    {
      name: 'a folder that is not there',
      pack: () => gzip(GUEST),
      request: { directory: '/nowhere/at/all' },
      code: 'io',
    },
  ])('$name: $code', async ({ pack, request, code }) => {
    const filePath = await written('image', await pack());
    await expect(guestOf(filePath, request)).rejects.toMatchObject({ code });
    expect(await readdir(folder)).toEqual(['image']);
  });
});
