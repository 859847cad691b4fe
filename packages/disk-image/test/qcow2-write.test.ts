import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GivenOptions } from '../src/index.ts';
import type { Peer } from './qcow2-peer.ts';
import { mixedGuest, openBytes, openPeer, readAll, toQcow2 } from './qcow2-peer.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const CLUSTER_SIZES = ['512', '1k', '4k', '16k', '64k', '2M'];
const REFCOUNT_BITS = ['1', '2', '4', '8', '16', '32', '64'];

function cases(): GivenOptions[] {
  const all: GivenOptions[] = [];
  for (const cluster_size of CLUSTER_SIZES) {
    for (const compression of ['none', 'zlib', 'zstd']) {
      all.push({ cluster_size, compression });
      if (compression !== 'zstd') all.push({ cluster_size, compression, compat: '0.10' });
    }
    for (const preallocation of ['metadata', 'full']) all.push({ cluster_size, preallocation });
    all.push({ cluster_size, preallocation: 'metadata', compat: '0.10' });
  }
  for (const refcount_bits of REFCOUNT_BITS) {
    for (const compression of ['none', 'zlib', 'zstd']) all.push({ refcount_bits, compression });
    all.push({ refcount_bits, compression: 'zlib', cluster_size: '512' });
    all.push({ refcount_bits, preallocation: 'full', cluster_size: '512' });
    all.push({ refcount_bits, compression: 'zstd', cluster_size: '2M' });
  }
  for (const cluster_size of ['16k', '64k', '2M']) {
    for (const compression of ['none', 'zlib', 'zstd']) all.push({ cluster_size, compression, extended_l2: 'on' });
    all.push({ cluster_size, extended_l2: 'on', preallocation: 'metadata' });
    all.push({ cluster_size, extended_l2: 'on', preallocation: 'full', refcount_bits: '1' });
  }
  all.push({ lazy_refcounts: 'on' }, { compression_type: 'zstd' }, { compression: 'zlib', compression_level: '9' });
  return all;
}

const SOUND = { errors: 0, corruptions: 0, leaks: 0, endsWithTables: true, peerSaysEqual: true, readsBack: true };

/** What qemu-img and our own reader say about the guest bytes written with these options. */
async function judge(guest: Uint8Array, options: GivenOptions): Promise<typeof SOUND> {
  const image = await toQcow2(guest, options);
  await peer.write('guest.raw', guest);
  await peer.write('disk.qcow2', image);
  const report = JSON.parse(await peer.img(['check', '--output=json', 'disk.qcow2'], [2, 3])) as Record<string, number>;
  const compared = await peer.img(['compare', '-f', 'qcow2', '-F', 'raw', 'disk.qcow2', 'guest.raw'], [1]);
  return {
    errors: report['check-errors'] ?? 0,
    corruptions: report['corruptions'] ?? 0,
    leaks: report['leaks'] ?? 0,
    endsWithTables: report['image-end-offset'] === image.length,
    peerSaysEqual: compared.includes('identical'),
    readsBack: Buffer.compare(await readAll(await openBytes(image)), guest) === 0,
  };
}

describe('qemu-img finds what was written clean and equal', () => {
  const guest = mixedGuest(3_000_320);
  test.each(cases().map((options) => [JSON.stringify(options), options] as const))('%s', async (_name, options) => {
    expect(await judge(guest, options)).toEqual(SOUND);
  });
});

describe('disks of special sizes', () => {
  test.each([0, 512, 65536, 65536 + 512, 32768 * 8])('%i bytes', async (size) => {
    for (const options of [{}, { cluster_size: '512' }, { preallocation: 'full' }, { preallocation: 'metadata' }]) {
      expect(await judge(mixedGuest(size), options)).toEqual(SOUND);
    }
  });

  test('an empty disk needs no L2 table', async () => {
    const image = await toQcow2(new Uint8Array(2 ** 20), {});
    expect(image.length).toBe(4 * 65536);
    expect(await judge(new Uint8Array(2 ** 20), {})).toEqual(SOUND);
  });
});

test('a disk that ends inside a sector is rounded up to the next', () => {
  const layout = qcow2.writer?.layout({ virtualSize: 1001, options: {}, fileName: 'a', seed: new Uint8Array(16) });
  expect(layout?.virtualSize).toBe(1024);
});

test('the same content and options give the same bytes', async () => {
  const guest = mixedGuest(400_000 - (400_000 % 512));
  const options = { compression: 'zstd', cluster_size: '4k' };
  expect(Buffer.compare(await toQcow2(guest, options), await toQcow2(guest, options))).toBe(0);
});

test('compressed clusters share host clusters unless the refcount is one bit wide', async () => {
  const guest = Uint8Array.from({ length: 2 ** 20 }, (_, i) => 1 + (i % 7));
  const sizes = await Promise.all(
    ['1', '2', '16'].map(
      async (refcount_bits) => (await toQcow2(guest, { compression: 'zlib', refcount_bits })).length,
    ),
  );
  expect(sizes[0]).toBeGreaterThan(sizes[1] ?? 0);
  expect(sizes[1]).toBeGreaterThan(sizes[2] ?? 0);
});

describe('measure gives the numbers of qemu-img', () => {
  const sizes = [0, 512, 2 ** 20, 2 ** 30, 100 * 2 ** 30, 8 * 2 ** 40];
  const options: GivenOptions[] = [
    {},
    { cluster_size: '4k' },
    { cluster_size: '512' },
    { cluster_size: '2M' },
    { refcount_bits: '1' },
    { refcount_bits: '64' },
    { extended_l2: 'on' },
    { compat: '0.10' },
    { preallocation: 'metadata' },
    { preallocation: 'full' },
  ];
  test.each(options.map((given) => [JSON.stringify(given), given] as const))('%s', async (_name, given) => {
    for (const virtualSize of sizes) {
      if (given['cluster_size'] === '512' && virtualSize > 2 ** 37) continue;
      const text = Object.entries(given).map(([name, value]) => `${name}=${value}`);
      const arguments_ = ['measure', '--output=json', '-O', 'qcow2', '--size', `${virtualSize}`];
      if (text.length > 0) arguments_.push('-o', text.join(','));
      const expected = JSON.parse(await peer.img(arguments_)) as Record<string, number>;
      const layout = qcow2.writer?.layout({ virtualSize, options: given, fileName: 'a', seed: new Uint8Array(16) });
      if (layout === undefined) throw new Error('qcow2 has a writer');
      expect(qcow2.writer?.measure(layout, 0)).toEqual({
        required: expected['required'],
        fullyAllocated: expected['fully-allocated'],
      });
    }
  });
});

test('deflate streams with far references in 2 MiB clusters are read by qemu-img, which inflates with a small window', async () => {
  const block = mixedGuest(32_000);
  const guest = new Uint8Array(2 ** 21);
  for (let offset = 0; offset + block.length <= guest.length; offset += block.length) guest.set(block, offset);
  expect(await judge(guest, { cluster_size: '2M', compression: 'zlib', compression_level: '9' })).toEqual(SOUND);
  const image = await openBytes(await toQcow2(guest, { cluster_size: '2M', compression: 'zlib' }));
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    expect(extent.compressed).toBe(true);
  }
});
