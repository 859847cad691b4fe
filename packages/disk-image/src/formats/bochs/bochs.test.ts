import { expect, test } from 'vitest';
import { patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { ascii } from '../../bytes/numbers.ts';
import { bochs } from './bochs.ts';
import { MAGIC } from './header.ts';

const CATALOG_ENTRIES = 4;
const EXTENT_SIZE = 4096;

/** An empty growing image of 16 KiB, version 2. */
function growing(subtype: string = 'Growing'): Uint8Array {
  const bytes = new Uint8Array(512 + CATALOG_ENTRIES * 4);
  bytes.set(ascii(MAGIC));
  bytes.set(ascii('Redolog'), 32);
  bytes.set(ascii(subtype), 48);
  const view = new DataView(bytes.buffer);
  const fields = [0x00020000, 512, CATALOG_ENTRIES, 1, EXTENT_SIZE];
  fields.forEach((value, i) => view.setUint32(64 + i * 4, value, true));
  view.setUint32(88, CATALOG_ENTRIES * EXTENT_SIZE, true);
  bytes.fill(0xff, 512);
  return bytes;
}

test.each([
  { name: 'a growing image', make: () => growing(), codes: [] },
  { name: 'an undoable image', make: () => growing('Undoable'), codes: ['differencing-parent'] },
  { name: 'a volatile image', make: () => growing('Volatile'), codes: ['differencing-parent'] },
  { name: 'a subtype that nobody knows', make: () => growing('Shrinking'), codes: ['unsupported-subformat'] },
  { name: 'an extent beyond the file', make: () => patched(growing(), 512, [0, 0, 0, 0]), codes: ['truncated'] },
  { name: 'a catalog cut off', make: () => growing().subarray(0, 512), codes: ['table-outside-file'] },
  {
    name: 'a catalog of gigabytes',
    make: () => patched(growing(), 75, [0x40]),
    codes: ['size-bomb-table', 'table-outside-file'],
  },
  { name: 'a disk larger than its extents', make: () => patched(growing(), 91, [1]), codes: ['header-inconsistent'] },
  { name: 'extents of no size', make: () => patched(growing(), 80, [0, 0]), codes: ['header-inconsistent'] },
])('$name: $codes', async ({ make, codes }) => {
  const { info, findings } = await bochs.examine(memorySource(make()));
  expect(info.format).toBe('bochs');
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test.each([
  { name: 'version 3', make: () => patched(growing(), 66, [3]), code: 'unsupported' },
  { name: 'a header cut off', make: () => growing().subarray(0, 80), code: 'truncated' },
  { name: 'another magic', make: () => patched(growing(), 0, [0]), code: 'wrong_format' },
])('$name is refused: $code', async ({ make, code }) => {
  await expect(bochs.examine(memorySource(make()))).rejects.toMatchObject({ code });
});
