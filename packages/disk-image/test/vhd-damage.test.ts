/** VHDs cut, flipped and edited: bounded work and ImageErrors only; what `check` finds. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { vhd } from '../src/formats/vhd/vhd.ts';
import { denyReferences, memorySource, portableCodecs as codecs } from '../src/index.ts';
import { readGuest } from './disk-files.ts';
import { golden, joined, makeGoldens, patched } from './goldens.ts';
import type { Anatomy } from './image-damage.ts';
import { damage, damaged, INTERESTING, strangeErrors } from './image-damage.ts';
import { withVhdChecksum } from './inspect-disks.ts';
import { childDisk, footerBytes, headerBytes } from './vhd-disks.ts';
import { noise } from './vmdk-driver.ts';

const FOOTER_FIELDS = [
  [8, 4],
  [12, 4],
  [16, 8],
  [24, 4],
  [40, 8],
  [48, 8],
  [56, 2],
  [58, 1],
  [59, 1],
  [60, 4],
  [84, 1],
] as const;
const HEADER_FIELDS = [
  [16, 8],
  [24, 4],
  [28, 4],
  [32, 4],
  [584, 4],
  [592, 8],
  [608, 4],
] as const;

const ANATOMY: Anatomy = {
  fields: [
    ...FOOTER_FIELDS.map(([at, width]) => [at, width] as const),
    ...FOOTER_FIELDS.map(([at, width]) => [at - 512, width] as const),
    ...HEADER_FIELDS.map(([at, width]) => [at + 512, width] as const),
  ],
  tables: [{ at: 1536, entries: 8 }],
  littleEndian: false,
  mend(bytes) {
    if (bytes.length < 2048) return;
    bytes.set(withVhdChecksum(bytes.subarray(0, 512), 64));
    bytes.set(withVhdChecksum(bytes.subarray(512, 1536), 36), 512);
    bytes.set(withVhdChecksum(bytes.subarray(-512), 64), bytes.length - 512);
  },
};

/** Two stored blocks of 64 KiB with half-full bitmaps, three that are not there. */
const small = childDisk({
  size: 5 * 65_536 - 512,
  blockSize: 65_536,
  parentId: new Uint8Array(16),
  diskType: 3,
  sectors: new Map(Array.from({ length: 100 }, (_, i) => [64 + i * 2, noise(512, i + 1)] as const)),
});

let seeds: readonly Uint8Array[];
beforeAll(async () => {
  const goldens = await makeGoldens('vhd-dynamic', 'vhd-fixed');
  const locators = [{ code: 'W2ru', data: Buffer.from('.\\base.vhd', 'utf16le') }];
  const sectors = new Map([[5, noise(512, 1)]]);
  const child = childDisk({ size: 200_192, blockSize: 65_536, parentId: new Uint8Array(16), locators, sectors });
  seeds = [golden(goldens, 'vhd-dynamic'), golden(goldens, 'vhd-fixed').subarray(-65_536 - 512), small, child];
});

describe('damaged images give ImageErrors and nothing else', () => {
  test('flips, cuts, fields and entries, with checksums right and wrong', async () => {
    const scenario = fc.record({
      seed: fc.nat(3),
      all: fc.array(damage, { minLength: 1, maxLength: 4 }),
      mended: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ seed, all, mended }) => {
        const { mend, ...bare } = ANATOMY;
        const anatomy = mended && mend !== undefined ? { ...bare, mend } : bare;
        expect(await strangeErrors(vhd, damaged(seeds[seed] ?? new Uint8Array(), anatomy, all))).toEqual([]);
      }),
      { numRuns: 1200 },
    );
  }, 120_000);

  test('every field with every interesting value', async () => {
    for (const seed of seeds) {
      for (let field = 0; field < ANATOMY.fields.length; field++) {
        for (const value of INTERESTING) {
          expect(await strangeErrors(vhd, damaged(seed, ANATOMY, [{ kind: 'field', field, value }]))).toEqual([]);
        }
      }
    }
  }, 120_000);
});

test('a disk of blocks that all lie in one place is refused before it is walked', async () => {
  const entries = 2 ** 20;
  const footer = footerBytes({ currentSize: entries * 512, diskType: 3 });
  const header = headerBytes({ entries, blockSize: 512 });
  const table = new Uint8Array(entries * 4);
  const view = new DataView(table.buffer);
  for (let i = 0; i < entries; i++) view.setUint32(i * 4, (1536 + table.length) / 512);
  const bomb = joined(footer, header, table, new Uint8Array(1024), footer);
  await expect(openBytes(bomb)).rejects.toMatchObject({ code: 'corrupt' });
});

async function openBytes(bytes: Uint8Array): Promise<Uint8Array> {
  const image = await vhd.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (image === undefined) throw new Error('vhd can be opened');
  return readGuest(image);
}

test.each([
  { name: 'a wrong checksum of the footer and its copy', change: { 100: [1], [-412]: [1] }, code: 'corrupt' },
  { name: 'a wrong checksum of the header', change: { 1000: [1] }, code: 'corrupt' },
  { name: 'no footer at the end', cut: -512, code: 'truncated' },
  { name: 'a block cut off', change: { 1536: [0, 0, 2, 0] }, code: 'truncated' },
  { name: 'no footer at all', cut: 0, code: 'wrong_format' },
])('$name: $code', async ({ change = {}, cut, code }) => {
  let bytes: Uint8Array = small;
  for (const [at, patch] of Object.entries(change)) bytes = patched(bytes, Number(at), patch);
  await expect(openBytes(cut === undefined ? bytes : bytes.slice(0, cut))).rejects.toMatchObject({ code });
});

test('a damaged footer beside a good copy does not matter', async () => {
  const whole = await openBytes(small);
  expect(Buffer.compare(await openBytes(patched(small, -412, [1])), whole)).toBe(0);
  expect(Buffer.compare(await openBytes(patched(small, 100, [1])), whole)).toBe(0);
});

/** The small disk with another entry in its table. */
function entry(block: number, sector: number): Uint8Array {
  return patched(small, 1536 + block * 4, [sector >>> 24, sector >>> 16, sector >>> 8, sector]);
}

describe('check', () => {
  test('finds nothing wrong with a whole disk', async () => {
    const report = await vhd.check?.(memorySource(small));
    expect(report).toMatchObject({ corruptions: 0, leaks: 0, findings: [], allocatedUnits: 3, totalUnits: 5 });
    expect(report).toMatchObject({ imageEndOffset: small.length - 512, fragmentedUnits: 2 });
  });

  test.each([
    { name: 'blocks over each other', make: () => entry(0, 5), corruptions: 1, codes: ['corrupt-table'] },
    { name: 'a block beyond the file', make: () => entry(0, 0x10000), corruptions: 1, codes: ['truncated'] },
    { name: 'a block over the header', make: () => entry(3, 1), corruptions: 1, codes: ['overlapping-tables'] },
    { name: 'a block over the footer', make: () => entry(3, 263), corruptions: 1, codes: ['overlapping-tables'] },
    {
      name: 'a damaged footer and copy',
      make: () => patched(patched(small, 100, [1]), -412, [1]),
      corruptions: 1,
      codes: ['checksum-mismatch'],
    },
  ])('finds $name', async ({ make, codes }) => {
    const report = await vhd.check?.(memorySource(make()));
    expect(report?.corruptions).toBeGreaterThan(0);
    expect(report?.findings.map(({ code }) => code)).toEqual(expect.arrayContaining(codes));
  });

  test('a block without stored sectors is a leak', async () => {
    const report = await vhd.check?.(memorySource(patched(small, 2048, new Uint8Array(512))));
    expect(report).toMatchObject({ corruptions: 0, leaks: 1 });
  });

  test('a table that cannot be read is refused', async () => {
    const bytes = damaged(small, ANATOMY, [{ kind: 'field', field: 22, value: 1n << 40n }]);
    await expect(vhd.check?.(memorySource(bytes))).rejects.toMatchObject({ code: 'truncated' });
  });
});
