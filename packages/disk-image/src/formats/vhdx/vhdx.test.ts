import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { differencing } from '../../../test/vhdx-driver.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { crc32c, withZeroedField } from '../../bytes/crc32.ts';
import type { Examination } from '../../image/format.ts';
import { vhdx } from './vhdx.ts';

const HEADERS = [65536, 131072];
const HEADER_BYTES = 4096;
const REGION_TABLES = [196608, 262144];
const REGION_TABLE_BYTES = 65536;
const KIB64 = 65536;

let image: Uint8Array;
beforeAll(async () => {
  image = golden(await makeGoldens('vhdx-dynamic'), 'vhdx-dynamic');
});

function examined(bytes: Uint8Array): Promise<Examination> {
  return vhdx.examine(memorySource(bytes));
}

/** `patch` at `at` of the structure that stands at both `places`, their checksums made right. */
function inBoth(places: readonly number[], length: number, at: number, patch: readonly number[]): Uint8Array {
  return places.reduce((bytes, place) => {
    const structure = patched(bytes.slice(place, place + length), at, patch);
    new DataView(structure.buffer).setUint32(4, crc32c(withZeroedField(structure, 4)), true);
    return patched(bytes, place, structure);
  }, image);
}

function regionOffset(index: number): number {
  return new DataView(image.buffer).getUint32((REGION_TABLES[0] ?? 0) + 16 + index * 32 + 16, true);
}

/** The place of the metadata item with this first GUID group. */
function itemAt(firstGroup: number): number {
  const table = regionOffset(1);
  const view = new DataView(image.buffer);
  for (let entry = table + 32; entry < table + KIB64; entry += 32) {
    if (view.getUint32(entry, true) === firstGroup) return table + view.getUint32(entry + 16, true);
  }
  throw new Error('no such metadata item');
}

const FILE_PARAMETERS = 0xcaa16737;

test('a log that was not applied is dirty, and one without an entry is damaged', async () => {
  const { info, findings } = await examined(inBoth(HEADERS, HEADER_BYTES, 48, [1, 2, 3]));
  expect(info.dirty).toBe(true);
  expect(findings).toMatchObject([{ code: 'dirty', severity: 'warning' }, { code: 'corrupt-table' }]);
});

test('one damaged header is a warning, both are corrupt', async () => {
  const one = patched(image, 65536 + 100, [1]);
  expect((await examined(one)).findings).toMatchObject([{ code: 'checksum-mismatch', severity: 'warning' }]);
  await expect(examined(patched(one, 131072 + 100, [1]))).rejects.toMatchObject({ code: 'corrupt' });
});

test('a version of the future is refused', async () => {
  await expect(examined(inBoth(HEADERS, HEADER_BYTES, 66, [2]))).rejects.toMatchObject({ code: 'unsupported' });
});

test('a required region that nobody knows is an unknown feature', async () => {
  const third = [...Array.from({ length: 16 }, () => 7), 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0];
  const withEntry = inBoth(REGION_TABLES, REGION_TABLE_BYTES, 80, third);
  const counted = REGION_TABLES.reduce((bytes, place) => {
    const table = patched(bytes.slice(place, place + REGION_TABLE_BYTES), 8, [3]);
    new DataView(table.buffer).setUint32(4, crc32c(withZeroedField(table, 4)), true);
    return patched(bytes, place, table);
  }, withEntry);
  expect((await examined(counted)).findings.map(({ code }) => code)).toEqual(['unknown-feature']);
});

test('a region beyond the file is outside it', async () => {
  const { findings } = await examined(inBoth(REGION_TABLES, REGION_TABLE_BYTES, 16 + 16 + 4, [1]));
  expect(findings.map(({ code }) => code)).toEqual(['table-outside-file']);
});

test('a payload block beyond the file is truncation', async () => {
  const { findings } = await examined(patched(image, regionOffset(0), [6, 0, 0, 0x40]));
  expect(findings.map(({ code }) => code)).toEqual(['truncated']);
});

test('a block size that is no power of two is inconsistent', async () => {
  const { findings } = await examined(patched(image, itemAt(FILE_PARAMETERS), [1, 0, 16, 0]));
  expect(findings.map(({ code }) => code)).toEqual(['header-inconsistent']);
});

test('a parent without a locator is corrupt', async () => {
  await expect(examined(patched(image, itemAt(FILE_PARAMETERS) + 4, [2]))).rejects.toMatchObject({ code: 'corrupt' });
});

test('a differencing disk names its parent, in the order of the specification', async () => {
  const linkage = '{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}';
  const paths = { absolute_win32_path: 'C:\\vm\\base.vhdx', volume_path: '\\\\?\\Volume{1}\\base.vhdx' };
  const child = differencing(image, { parent_linkage: linkage, ...paths, relative_path: '..\\base.vhdx' });
  const { info, findings } = await examined(child);
  expect(findings.map(({ code }) => code)).toEqual(['differencing-parent']);
  expect(info).toMatchObject({ subformat: 'differencing', backing: { name: '../base.vhdx' } });
  expect(info.backing?.linkIds).toEqual([linkage.slice(1, -1)]);
  const elsewhere = await examined(differencing(image, { parent_linkage: linkage, ...paths }));
  expect(elsewhere.info.backing?.name).toBe(paths.volume_path);
});

test.each([
  ['without a path', { parent_linkage: '{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}' }, undefined, 'corrupt-table'],
  ['without an identifier', { relative_path: 'base.vhdx' }, undefined, 'corrupt-table'],
  ['of an unknown kind', {}, '00000000-0000-0000-0000-000000000001', 'unknown-feature'],
] as const)('a parent locator %s is refused', async (_name, entries, kind, code) => {
  const { findings } = await examined(differencing(image, entries, kind));
  expect(findings.map((finding) => finding.code)).toEqual(['differencing-parent', code]);
});

test('the file cut short is truncated', async () => {
  await expect(examined(image.subarray(0, 200_000))).rejects.toMatchObject({ code: 'truncated' });
});
