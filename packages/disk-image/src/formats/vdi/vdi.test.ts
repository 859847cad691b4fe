import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { vdi } from './vdi.ts';

let image: Uint8Array;
beforeAll(async () => {
  image = golden(await makeGoldens('vdi-dynamic'), 'vdi-dynamic');
});

test.each([
  { name: 'a differencing image', at: 76, patch: [4], codes: ['differencing-parent'] },
  { name: 'an undo image', at: 76, patch: [3], codes: ['differencing-parent'] },
  { name: 'an image type of the future', at: 76, patch: [9], codes: ['unsupported-subformat'] },
  { name: 'a block map beyond the file', at: 340, patch: [0, 0, 1], codes: ['table-outside-file'] },
  {
    name: 'a block map of gigabytes',
    at: 384,
    patch: [0, 0, 0, 0x40],
    codes: ['size-bomb-table', 'table-outside-file'],
  },
  { name: 'too few blocks for the disk', at: 384, patch: [1], codes: ['header-inconsistent'] },
  { name: 'blocks of no size', at: 376, patch: [0, 0, 0], codes: ['header-inconsistent'] },
  { name: 'sectors of 4096 bytes', at: 360, patch: [0, 16], codes: ['header-inconsistent'] },
  { name: 'more blocks allocated than there are', at: 388, patch: [200], codes: ['header-inconsistent'] },
  { name: 'a block beyond the file', at: 512, patch: [0, 0, 0, 0], codes: ['truncated'] },
])('$name: $codes', async ({ at, patch, codes }) => {
  const { findings } = await vdi.examine(memorySource(patched(image, at, patch)));
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test.each([
  { name: 'another signature', at: 64, patch: [0], code: 'wrong_format' },
  { name: 'version 2', at: 70, patch: [2], code: 'unsupported' },
  { name: 'a disk above 2^53 bytes', at: 368, patch: [0, 0, 0, 0, 0, 0, 0, 0xff], code: 'corrupt' },
])('$name is refused: $code', async ({ at, patch, code }) => {
  await expect(vdi.examine(memorySource(patched(image, at, patch)))).rejects.toMatchObject({ code });
});
