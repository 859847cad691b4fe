import { expect, test } from 'vitest';
import { patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { cloop } from './cloop.ts';
import { OFFSETS_AT, SIGNATURE } from './header.ts';

/** Two blocks of 64 KiB, said to be stored in 100 bytes each. */
function twoBlocks(): Uint8Array {
  const end = OFFSETS_AT + 3 * 8;
  const bytes = patched(new Uint8Array(end + 200), 0, SIGNATURE);
  const view = new DataView(bytes.buffer);
  view.setUint32(128, 65536);
  view.setUint32(132, 2);
  [end, end + 100, end + 200].forEach((offset, i) => view.setBigUint64(OFFSETS_AT + i * 8, BigInt(offset)));
  return bytes;
}

test.each([
  { name: 'a whole image', make: twoBlocks, codes: [] },
  { name: 'an image cut short', make: () => twoBlocks().subarray(0, 300), codes: ['truncated'] },
  { name: 'offsets cut off', make: () => twoBlocks().subarray(0, 150), codes: ['table-outside-file'] },
  {
    name: 'offsets of gigabytes',
    make: () => patched(twoBlocks(), 132, [0x10]),
    codes: ['size-bomb-table', 'table-outside-file'],
  },
  { name: 'blocks of 513 bytes', make: () => patched(twoBlocks(), 128, [0, 0, 2, 1]), codes: ['header-inconsistent'] },
])('$name: $codes', async ({ make, codes }) => {
  const { findings } = await cloop.examine(memorySource(make()));
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test('the disk is as large as its blocks', async () => {
  expect((await cloop.examine(memorySource(twoBlocks()))).info.virtualSize).toBe(131072);
});

test.each([
  { name: 'a disk above 2^53 bytes', make: () => patched(twoBlocks(), 128, [0xff, 0, 0, 0, 0xff]), code: 'corrupt' },
  { name: 'a script of another kind', make: () => patched(twoBlocks(), 12, [0x33]), code: 'wrong_format' },
  { name: 'a header cut off', make: () => twoBlocks().subarray(0, 120), code: 'truncated' },
])('$name is refused: $code', async ({ make, code }) => {
  await expect(cloop.examine(memorySource(make()))).rejects.toMatchObject({ code });
});
