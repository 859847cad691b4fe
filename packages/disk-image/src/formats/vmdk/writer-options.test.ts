import { describe, expect, test } from 'vitest';
import type { GivenOptions } from '../../image/format.ts';
import { diskLayout, SPLIT_SIZE } from './disk-layout.ts';

const seed = Uint8Array.from({ length: 16 }, (_, i) => 0xff - i);

function layoutOf(options: GivenOptions, virtualSize: number, fileName = 'disk.vmdk'): ReturnType<typeof diskLayout> {
  return diskLayout({ virtualSize, options, fileName, seed });
}

describe('options that cannot be are named in the refusal', () => {
  test.each([
    { options: { subformat: 'vmfs' }, message: /subformat=vmfs.*monolithicSparse/ },
    { options: { adapter_type: 'nvme' }, message: /adapter_type=nvme.*legacyESX/ },
    { options: { hwversion: '0' }, message: /hwversion=0.*1 to 99/ },
    { options: { hwversion: '9', compat6: 'on' }, message: /compat6/ },
    { options: { compression_level: '5' }, message: /streamOptimized/ },
    { options: { subformat: 'streamOptimized', compression_level: '10' }, message: /0 to 9/ },
    { options: { subformat: 'monolithicFlat', zeroed_grain: 'on' }, message: /zeroed_grain/ },
    { options: { cluster_size: '64k' }, message: /no option "cluster_size"/ },
  ])('$options', ({ options, message }) => {
    expect(() => layoutOf(options as GivenOptions, 2 ** 20)).toThrow(message);
  });
});

describe('sizes and names that cannot be', () => {
  test.each([
    { name: 'nothing', size: 0, options: {} },
    { name: 'more than 64 TiB', size: 64 * 2 ** 40 + 512, options: {} },
    { name: 'more than 4096 parts', size: 4096 * SPLIT_SIZE + 512, options: { subformat: 'twoGbMaxExtentSparse' } },
  ])('$name', ({ size, options }) => {
    expect(() => layoutOf(options as GivenOptions, size)).toThrow(/cannot hold|split into/);
  });

  test.each(['a"b.vmdk', 'a:b.vmdk'])('%s', (fileName) => {
    expect(() => layoutOf({ subformat: 'monolithicFlat' }, 512, fileName)).toThrow(/file name/);
    expect(layoutOf({}, 512, fileName).files).toHaveLength(1);
  });
});

test('names too long for a descriptor of so many files', () => {
  const options = { subformat: 'twoGbMaxExtentFlat' };
  expect(() => layoutOf(options, 4000 * SPLIT_SIZE, 'x'.repeat(230))).toThrow(/names of 4000 files/);
});

test('a split disk has files of 2047 MiB, named and numbered as VMware and qemu-img do', () => {
  const { files } = layoutOf({ subformat: 'twoGbMaxExtentFlat' }, 2 * SPLIT_SIZE + 1000, 'My disk.VMDK');
  expect(files.map(({ name, guestOffset, guestLength }) => [name, guestOffset, guestLength])).toEqual([
    ['', 0, 0],
    ['My disk-f001.VMDK', 0, SPLIT_SIZE],
    ['My disk-f002.VMDK', SPLIT_SIZE, SPLIT_SIZE],
    ['My disk-f003.VMDK', 2 * SPLIT_SIZE, 1024],
  ]);
});

test.each([
  ['disk.vmdk', 'disk-flat.vmdk'],
  ['disk', 'disk-flat'],
  ['disk.img', 'disk-flat.img'],
  ['.disk', '.disk-flat'],
])('the flat file of %s is %s', (fileName, expected) => {
  expect(layoutOf({ subformat: 'monolithicFlat' }, 512, fileName).files[1]?.name).toBe(expected);
});

test('sizes are rounded up to sectors, of a stream to grains', () => {
  expect(layoutOf({}, 65_537).virtualSize).toBe(66_048);
  expect(layoutOf({ subformat: 'streamOptimized' }, 65_537).virtualSize).toBe(131_072);
});

test('the content id comes from the seed and is none of the values with a meaning', () => {
  const { parameters } = layoutOf({}, 512);
  expect(parameters['contentId']).toBe(0x7ffefdfc);
});
