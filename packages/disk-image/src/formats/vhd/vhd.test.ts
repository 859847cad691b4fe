import { beforeAll, expect, test } from 'vitest';
import { golden, joined, makeGoldens, patched } from '../../../test/goldens.ts';
import { withVhdChecksum } from '../../../test/inspect-disks.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import type { Examination } from '../../image/format.ts';
import { vhd } from './vhd.ts';

const FOOTER_CHECKSUM = 64;
const HEADER_CHECKSUM = 36;

let fixed: Uint8Array;
let dynamic: Uint8Array;
beforeAll(async () => {
  const goldens = await makeGoldens('vhd-fixed', 'vhd-dynamic');
  fixed = golden(goldens, 'vhd-fixed');
  dynamic = golden(goldens, 'vhd-dynamic');
});

function examined(bytes: Uint8Array): Promise<Examination> {
  return vhd.examine(memorySource(bytes));
}

function probed(bytes: Uint8Array): boolean {
  return vhd.probe({ size: bytes.length, head: bytes.subarray(0, 4096), tail: bytes.subarray(-4096) });
}

/** The dynamic disk with both footers changed, and its header, checksums right. */
function changed(change: { footer?: [number, number[]]; header?: [number, number[]] }): Uint8Array {
  const footer = withVhdChecksum(patched(dynamic.slice(0, 512), ...(change.footer ?? [0, []])), FOOTER_CHECKSUM);
  const header = withVhdChecksum(patched(dynamic.slice(512, 1536), ...(change.header ?? [0, []])), HEADER_CHECKSUM);
  return joined(footer, header, dynamic.slice(1536, -512), footer);
}

test('the 511-byte footer of old Virtual PC is found', async () => {
  const old = fixed.subarray(0, -1);
  expect(probed(old)).toBe(true);
  expect(await examined(old)).toMatchObject({ info: { subformat: 'fixed' }, findings: [] });
});

test('a fixed disk is known by its end alone', () => {
  expect(probed(fixed)).toBe(true);
  expect(probed(fixed.subarray(0, -512))).toBe(false);
});

test('a differencing disk names its parent', async () => {
  const parentName = Array.from(Buffer.from('base.vhd', 'utf16le').swap16());
  const image = changed({ footer: [60, [0, 0, 0, 4]], header: [64, parentName] });
  const { info, findings } = await examined(image);
  expect(findings.map(({ code }) => code)).toEqual(['differencing-parent']);
  expect(info).toMatchObject({ subformat: 'differencing', backing: { kind: 'parent', name: 'base.vhd' } });
});

test.each([
  { name: 'saved state', make: () => changed({ footer: [84, [1]] }), codes: ['dirty'] },
  {
    name: 'an unknown disk type',
    make: () => changed({ footer: [60, [0, 0, 0, 9]] }),
    codes: ['unsupported-subformat'],
  },
  {
    name: 'a footer version of the future',
    make: () => changed({ footer: [12, [0, 2]] }),
    codes: ['unsupported-subformat'],
  },
  {
    name: 'a table beyond the file',
    make: () => changed({ header: [16, [0, 0, 0, 1, 0, 0, 0, 0]] }),
    codes: ['table-outside-file'],
  },
  {
    name: 'a table too small for the disk',
    make: () => changed({ header: [28, [0, 0, 0, 1]] }),
    codes: ['header-inconsistent'],
  },
  {
    name: 'a table of gigabytes',
    make: () => changed({ header: [28, [0x7f, 0, 0, 0]] }),
    codes: ['size-bomb-table', 'table-outside-file'],
  },
  { name: 'a block beyond the file', make: () => patched(changed({}), 1536, [0, 0, 0, 9]), codes: ['truncated'] },
  { name: 'a footer cut off', make: () => dynamic.subarray(0, -512), codes: ['truncated'] },
  {
    name: 'a damaged footer beside a good copy',
    make: () => patched(dynamic, -400, [1]),
    codes: ['checksum-mismatch'],
  },
  { name: 'a damaged header', make: () => patched(dynamic, 512 + 500, [1]), codes: ['checksum-mismatch'] },
  {
    name: 'a fixed disk cut short',
    make: () => joined(fixed.subarray(0, 4096), fixed.subarray(-512)),
    codes: ['truncated'],
  },
])('$name: $codes', async ({ make, codes }) => {
  expect((await examined(make())).findings.map(({ code }) => code)).toEqual(codes);
});

test.each([
  { name: 'no footer', bytes: new Uint8Array(1024), code: 'wrong_format' },
  { name: 'an empty file', bytes: new Uint8Array(0), code: 'wrong_format' },
])('$name is refused', async ({ bytes, code }) => {
  await expect(examined(bytes)).rejects.toMatchObject({ code });
});
