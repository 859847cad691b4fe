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

/** The empty image with space for block 1. */
const withBlock = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, new Uint8Array(2 ** 20)]);

test.each([
  { name: 'nothing wrong', change: (bytes: Uint8Array) => bytes, corruptions: 0, leaks: 0, codes: [] },
  {
    name: 'an image in use',
    change: (bytes: Uint8Array) => patched(bytes, 44, ascii('Ynot')),
    corruptions: 1,
    leaks: 0,
    codes: ['dirty'],
  },
  {
    name: 'space behind the last block',
    change: (bytes: Uint8Array) => Buffer.concat([bytes, new Uint8Array(2 ** 20 + 1)]),
    corruptions: 0,
    leaks: 2,
    codes: ['leaked-cluster'],
  },
  {
    name: 'a block beyond the file',
    change: (bytes: Uint8Array) => patched(bytes, 64, [9]),
    corruptions: 1,
    leaks: 0,
    codes: ['truncated'],
  },
  {
    name: 'a block that two entries hold',
    change: (bytes: Uint8Array) => patched(patched(withBlock(bytes), 64, [1]), 68, [1]),
    corruptions: 1,
    leaks: 0,
    codes: ['overlapping-tables'],
  },
])('check finds $name', async ({ change, corruptions, leaks, codes }) => {
  const report = await parallels.check?.(memorySource(Uint8Array.from(change(image))));
  expect(report).toMatchObject({ corruptions, leaks });
  expect(report?.findings.map(({ code }) => code)).toEqual(codes);
});
