import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { ascii } from '../../bytes/numbers.ts';
import { parallels } from './parallels.ts';

let image: Uint8Array;
beforeAll(async () => {
  image = golden(await makeGoldens('parallels'), 'parallels');
});

test.each([
  { name: 'the older magic', at: 0, patch: ascii('WithoutFreeSpace'), codes: [] },
  { name: 'an image in use', at: 44, patch: ascii('Ynot'), codes: ['dirty'] },
  { name: 'a version of the future', at: 16, patch: [3], codes: ['unsupported-subformat'] },
  { name: 'blocks of no size', at: 28, patch: [0, 0, 0, 0], codes: ['header-inconsistent'] },
  { name: 'too few blocks for the disk', at: 32, patch: [1], codes: ['header-inconsistent'] },
  { name: 'a table of gigabytes', at: 32, patch: [0, 0, 0, 0x40], codes: ['size-bomb-table', 'table-outside-file'] },
  { name: 'a block beyond the file', at: 64, patch: [9], codes: ['truncated'] },
  { name: 'an extension beyond the file', at: 56, patch: [0, 0, 1], codes: ['table-outside-file'] },
  {
    name: 'a disk above 2^53 bytes',
    at: 36,
    patch: [0, 0, 0, 0, 0, 0, 0x1f],
    codes: ['header-inconsistent', 'header-inconsistent'],
  },
])('$name: $codes', async ({ at, patch, codes }) => {
  const { info, findings } = await parallels.examine(memorySource(patched(image, at, patch)));
  expect(findings.map(({ code }) => code)).toEqual(codes);
  expect(Number.isSafeInteger(info.virtualSize)).toBe(true);
});
