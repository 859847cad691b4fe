import { expect, test } from 'vitest';
import type { GivenOptions } from '../../image/format.ts';
import type { TargetLayout } from '../../image/target.ts';
import { vhdWriter } from './writer.ts';

const MIB = 2 ** 20;

function layout(virtualSize: number, options: GivenOptions, seed: Uint8Array = new Uint8Array(16)): TargetLayout {
  return vhdWriter.layout({ virtualSize, options, fileName: 'x.vhd', seed });
}

test.each([
  { options: { subformat: 'sparse' }, message: 'not one of dynamic, fixed' },
  { options: { azure: 'on', subformat: 'dynamic' }, message: 'azure=on excludes' },
  { options: { azure: 'on', force_size: 'off' }, message: 'azure=on excludes' },
  { options: { subformat: 'fixed', block_size: '2M' }, message: 'subformat=dynamic only' },
  { options: { block_size: '3M' }, message: 'not a power of two' },
  { options: { block_size: '32k' }, message: 'not a power of two' },
  { options: { force_size: 'maybe' }, message: 'neither on nor off' },
  { options: { static: 'on' }, message: 'no option "static"' },
])('$options is refused', ({ options, message }) => {
  expect(() => layout(MIB, { ...options })).toThrow(message);
});

test('a disk that its block size cannot reach is refused with the reach', () => {
  expect(() => layout(2 ** 39, { block_size: '64k' })).toThrow('reaches 274877906944 bytes');
  expect(() => layout(2041 * 2 ** 30, {})).toThrow('2190433320960 is the most');
});

test.each([
  { options: {}, size: 34_816 },
  { options: { force_size: 'on' }, size: 1024 },
  { options: { azure: 'on' }, size: MIB },
])('600 bytes become $size with $options', ({ options, size }) => {
  expect(layout(600, { ...options }).virtualSize).toBe(size);
});

test('the unique id follows the seed, everything else stays', () => {
  const [first, second] = [layout(MIB, {}), layout(MIB, {}, new Uint8Array(16).fill(1))];
  expect(first.parameters['uniqueId']).not.toBe(second.parameters['uniqueId']);
  const parameters = { ...second.parameters, uniqueId: first.parameters['uniqueId'] ?? '' };
  expect({ ...second, parameters }).toEqual(first);
});

test('space is measured in blocks of a dynamic disk, in pages of a fixed one', () => {
  const block = 2 * MIB + 512;
  const dynamic = layout(20 * MIB, { force_size: 'on' });
  expect(vhdWriter.measure(dynamic, 3)).toEqual({ required: 2560 + 3 * block, fullyAllocated: 2560 + 10 * block });
  const fixed = layout(20 * MIB, { azure: 'on' });
  expect(vhdWriter.measure(fixed, 3)).toEqual({ required: 3 * 4096 + 512, fullyAllocated: 20 * MIB + 512 });
});
