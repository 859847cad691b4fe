import { expect, test } from 'vitest';
import type { DiskImage, GivenOptions } from '../src/index.ts';
import { convertInMemory, denyReferences, findFormat, memorySource, portableCodecs as codecs } from '../src/index.ts';

const SIZE = 10 * 2 ** 20;
const ID = '01234567-89ab-4def-8123-456789abcdef';

async function rawDisk(byte: number): Promise<DiskImage> {
  const bytes = new Uint8Array(SIZE).fill(byte, 0, 65536);
  const opened = await findFormat('raw')?.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (opened === undefined) throw new Error('raw images can be read');
  return opened;
}

async function made(name: string, options: GivenOptions, byte: number): Promise<Uint8Array> {
  const target = findFormat(name);
  if (target === undefined) throw new Error(`${name} is a format`);
  const { files } = await convertInMemory({ source: await rawDisk(byte), target, options, codecs, fileName: 'disk' });
  const bytes = files.get('disk');
  if (bytes === undefined) throw new Error('an image has a file of its own');
  return bytes;
}

test.each<readonly [string, GivenOptions]>([
  ['vhd', { subformat: 'dynamic', block_size: '524288', force_size: 'on', unique_id: ID }],
  ['vhd', { subformat: 'dynamic', block_size: '2097152', unique_id: ID, force_size: 'on' }],
  ['vhd', { subformat: 'fixed', force_size: 'on', unique_id: ID }],
  ['vhdx', { subformat: 'fixed', block_size: '1048576', log_size: '2097152', logical_sector_size: '512', disk_id: ID }],
  [
    'vhdx',
    { subformat: 'dynamic', block_size: '2097152', log_size: '1048576', logical_sector_size: '4096', disk_id: ID },
  ],
  ['vdi', { static: 'on', block_size: '1048576', uuid: ID }],
  ['vdi', { static: 'off', block_size: '65536', uuid: ID }],
  ['vmdk', { subformat: 'monolithicSparse', adapter_type: 'lsilogic', hwversion: '6', toolsversion: '3' }],
  [
    'vmdk',
    { subformat: 'monolithicSparse', adapter_type: 'ide', hwversion: '4', toolsversion: '3', zeroed_grain: 'on' },
  ],
  ['vmdk', { subformat: 'streamOptimized', adapter_type: 'buslogic', hwversion: '4', toolsversion: '3' }],
  ['vmdk', { subformat: 'monolithicFlat', adapter_type: 'ide', hwversion: '4', toolsversion: '3' }],
])('the likeness of a %s image is what it was made with: %j', async (name, options) => {
  const likeness = findFormat(name)?.writer?.likeness;
  const found = await likeness?.(memorySource(await made(name, options, 1)));
  expect(found).toEqual(options);
});

test('a VHD whose size is one of a geometry keeps being one', async () => {
  const found = await findFormat('vhd')?.writer?.likeness?.(memorySource(await made('vhd', {}, 1)));
  expect(found).not.toHaveProperty('force_size');
});

test.each([
  ['vhd', { unique_id: 'x' }],
  ['vhdx', { disk_id: '1' }],
  ['vdi', { uuid: '' }],
])('%s refuses the identifier %j', async (name, options) => {
  await expect(made(name, options, 1)).rejects.toThrow('is not a UUID');
});
