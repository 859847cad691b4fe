import { describe, expect, test } from 'vitest';
import { portableCodecs } from '../../bytes/portable-codecs.ts';
import type { GivenOptions } from '../../image/format.ts';
import { maxRefcount } from './refcount-block.ts';
import { qcow2Layout } from './target-layout.ts';
import { compressedAlignment, unitEncoder } from './unit-encoder.ts';

const seed = new Uint8Array(16);

function layout(options: GivenOptions): ReturnType<typeof qcow2Layout> {
  return qcow2Layout({ virtualSize: 2 ** 20, options, fileName: 'disk.qcow2', seed });
}

describe('compressed clusters are aligned so that no refcount overflows', () => {
  const sizes = [512, 4096, 65536, 2 ** 21];
  const cases = sizes.flatMap((size) => [0, 1, 2, 3, 4, 5, 6].map((order) => [size, order] as const));
  test.each(cases)('clusters of %i bytes, refcounts of 2^%i bits', (clusterSize, order) => {
    const alignment = compressedAlignment(clusterSize, order);
    const beginInCluster = clusterSize / alignment;
    const reachIntoCluster = alignment === clusterSize ? 0 : 1;
    expect(beginInCluster + reachIntoCluster).toBeLessThanOrEqual(maxRefcount(order));
  });

  test('wide refcounts need no alignment', () => {
    expect(compressedAlignment(2 ** 21, 5)).toBe(1);
  });
});

describe('one unit', () => {
  test('that does not shrink is stored verbatim on a cluster boundary', () => {
    const encoder = unitEncoder(layout({ compression: 'zlib', cluster_size: '512' }), portableCodecs);
    const unit = Uint8Array.from({ length: 512 }, (_, i) => (i * 7919 * (i + 3)) >>> 3);
    const stored = encoder.encode(unit, 0, new Uint8Array(encoder.maxStoredLength));
    expect(stored).toEqual({ verbatim: true, length: 512, alignment: 512, detail: 0xffffffff });
  });

  test('that shrinks is packed', () => {
    const encoder = unitEncoder(layout({ compression: 'zlib', refcount_bits: '32' }), portableCodecs);
    const stored = encoder.encode(new Uint8Array(65536).fill(3), 0, new Uint8Array(encoder.maxStoredLength));
    expect(stored).toMatchObject({ verbatim: false, alignment: 1, detail: 0 });
    expect(stored.length).toBeLessThan(200);
  });

  test('with subclusters says which of them hold data', () => {
    const encoder = unitEncoder(layout({ extended_l2: 'on' }), portableCodecs);
    const unit = new Uint8Array(65536);
    unit[0] = 1;
    unit[65535] = 1;
    expect(encoder.encode(unit, 0, new Uint8Array(0)).detail).toBe(0x80000001);
  });
});

describe('options that cannot be are refused by name', () => {
  test.each<readonly [string, GivenOptions, string]>([
    ['unknown', { colour: 'red' }, 'no option "colour"'],
    ['cluster size', { cluster_size: '3k' }, 'cluster_size=3k'],
    ['large cluster size', { cluster_size: '4M' }, 'cluster_size=4M'],
    ['refcount width', { refcount_bits: '12' }, 'refcount_bits=12'],
    ['version 2 and width', { compat: '0.10', refcount_bits: '8' }, 'refcount_bits=8 needs compat=1.1'],
    ['version 2 and zstd', { compat: '0.10', compression: 'zstd' }, 'compression_type=zstd needs compat=1.1'],
    ['version 2 and lazy refcounts', { compat: '0.10', lazy_refcounts: 'on' }, 'lazy_refcounts=on needs'],
    ['version 2 and subclusters', { compat: '0.10', extended_l2: 'on' }, 'extended_l2=on needs'],
    ['small clusters and subclusters', { cluster_size: '8k', extended_l2: 'on' }, '16k'],
    ['two methods', { compression: 'zlib', compression_type: 'zstd' }, 'contradict'],
    ['level without method', { compression_level: '3' }, 'needs compression'],
    ['level of zlib', { compression: 'zlib', compression_level: '12' }, 'compression_level=12'],
    ['compression and preallocation', { compression: 'zlib', preallocation: 'full' }, 'exclude each other'],
  ])('%s', (_name, options, message) => {
    expect(() => layout(options)).toThrow(message);
  });

  test('a disk that small clusters cannot address', () => {
    const request = { virtualSize: 2 ** 40, options: { cluster_size: '512' }, fileName: 'a', seed };
    expect(() => qcow2Layout(request)).toThrow('choose a larger cluster_size');
  });
});
