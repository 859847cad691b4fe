/** Disks that stand on a parent, built by hand after [MS-VHDX] 2.4 to 2.6: no program at hand writes them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { vhdx } from '../src/formats/vhdx/vhdx.ts';
import type { Extent } from '../src/index.ts';
import { denyReferences, memorySource } from '../src/index.ts';
import {
  differencing,
  linkageOf,
  MIB,
  openVhdx,
  parents,
  pattern,
  readAll,
  regionOffset,
  sameBytes,
  toVhdx,
  u64,
  withBatEntry,
} from './vhdx-driver.ts';

const SIZE = 6 * MIB;
/** Blocks of 1 MiB with sectors of 512 bytes: the entry behind those of 4096 blocks is the bitmap's. */
const BITMAP_ENTRY = 4096;
const SECTOR = 512;
const PARTLY = 7;

let parent: Uint8Array<ArrayBuffer>;
let linkage: string;
let own: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  parent = await toVhdx(pattern(SIZE, 1), { block_size: '2M' });
  linkage = await linkageOf(parent);
  own = await toVhdx(pattern(SIZE, 2), { block_size: '1M' });
});

/** The entry of a block of `own`, with another state. */
function entryOf(block: number, state: number): bigint {
  const at = regionOffset(own, 0) + block * 8;
  return (new DataView(own.buffer).getBigUint64(at, true) & ~7n) | BigInt(state);
}

/** A child that holds those sectors of blocks 1 and 2, all of block 0 and 5, and of block 3 and 4 zeros and nothing. */
function child(sectors: ReadonlyMap<number, readonly number[]>): Uint8Array<ArrayBuffer> {
  const bitmap = new Uint8Array(MIB);
  for (const [block, present] of sectors) {
    for (const sector of present) {
      const bit = block * (MIB / SECTOR) + sector;
      bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }
  const entries: readonly (readonly [number, number | bigint])[] = [
    [1, entryOf(1, PARTLY)],
    [2, entryOf(2, PARTLY)],
    [3, 2],
    [4, 0],
    [BITMAP_ENTRY, (BigInt(own.length / MIB) << 20n) | 6n],
  ];
  const changed = entries.reduce((bytes, [index, value]) => withBatEntry(bytes, index, value), own);
  const grown = new Uint8Array(own.length + MIB);
  grown.set(differencing(changed, { parent_linkage: linkage, relative_path: '.\\base.vhdx' }));
  grown.set(bitmap, own.length);
  return grown;
}

const PRESENT: ReadonlyMap<number, readonly number[]> = new Map([
  [1, [0, 1, 2, 7, 8, 9, 100, 2047]],
  [2, Array.from({ length: 1000 }, (_, i) => i + 24)],
]);

/** What the guest sees of `child(PRESENT)`. */
function expectedGuest(): Uint8Array {
  const guest = pattern(SIZE, 1);
  const mine = pattern(SIZE, 2);
  const take = (start: number, length: number): void => guest.set(mine.subarray(start, start + length), start);
  take(0, MIB);
  take(5 * MIB, MIB);
  for (const [block, sectors] of PRESENT) for (const sector of sectors) take(block * MIB + sector * SECTOR, SECTOR);
  guest.fill(0, 3 * MIB, 4 * MIB);
  return guest;
}

const files = (): Readonly<Record<string, Uint8Array>> => ({ './base.vhdx': parent });

describe('a differencing disk', () => {
  test('shows its own sectors, zeros it has said, and the rest of its parent', async () => {
    const image = await openVhdx(child(PRESENT), parents(files()));
    for (const step of [262_144, 65_536, 12_345, 511]) {
      expect(sameBytes(await readAll(image, step), expectedGuest())).toBe(true);
    }
  });

  test('maps sectors exactly', async () => {
    const image = await vhdx.open?.(memorySource(child(PRESENT)), {
      codecs: (await import('../src/index.ts')).portableCodecs,
      references: denyReferences,
    });
    const found: [number, number, string][] = [];
    for await (const { offset, length, state } of image?.extents({ offset: MIB, length: MIB }) ?? []) {
      found.push([(offset - MIB) / SECTOR, length / SECTOR, state]);
    }
    expect(found).toEqual([
      [0, 3, 'data'],
      [3, 4, 'absent'],
      [7, 3, 'data'],
      [10, 90, 'absent'],
      [100, 1, 'data'],
      [101, 1946, 'absent'],
      [2047, 1, 'data'],
    ]);
  });

  test('gives the extents of a part as it gives those of the whole', async () => {
    const image = await openVhdx(child(PRESENT), parents(files()));
    const all: Extent[] = [];
    for await (const extent of image.extents({ offset: 0, length: SIZE })) all.push(extent);
    for (const { offset, length, state, depth } of all) {
      for await (const part of image.extents({ offset: offset + length - 1, length: 1 })) {
        expect(part).toMatchObject({ state, depth });
      }
    }
  });

  test('is clean by check', async () => {
    expect(await vhdx.check?.(memorySource(child(PRESENT)))).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });

  test('larger than its parent has zeros behind the end of it', async () => {
    const small = await toVhdx(pattern(2 * MIB, 1), { block_size: '1M' });
    const bytes = differencing(withBatEntry(own, 4, 0), {
      parent_linkage: await linkageOf(small),
      relative_path: 'base.vhdx',
    });
    const image = await openVhdx(bytes, parents({ 'base.vhdx': small }));
    const block = new Uint8Array(MIB).fill(1);
    await image.read(4 * MIB, block);
    expect(block.every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    [1, 'undefined'],
    [2, 'zero'],
    [3, 'unmapped'],
  ])('a block in state %i (%s) hides the parent', async (state) => {
    const bytes = differencing(withBatEntry(own, 2, state), {
      parent_linkage: linkage,
      relative_path: './base.vhdx',
    });
    const image = await openVhdx(bytes, parents(files()));
    const block = new Uint8Array(MIB).fill(1);
    await image.read(2 * MIB, block);
    expect(block.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a parent is refused', () => {
  test('when no policy allows it', async () => {
    await expect(openVhdx(child(PRESENT))).rejects.toMatchObject({ code: 'unsafe' });
  });

  test('when it was changed since', async () => {
    const changed = await toVhdx(pattern(SIZE, 5), { block_size: '2M' });
    const opened = openVhdx(child(PRESENT), parents({ './base.vhdx': changed }));
    await expect(opened).rejects.toMatchObject({ code: 'corrupt' });
  });

  test('when it is known by the second identifier only, it is not', async () => {
    const entries = {
      parent_linkage: '{00000000-1111-2222-3333-444444444444}',
      parent_linkage2: linkage,
      relative_path: 'base.vhdx',
    };
    const image = await openVhdx(differencing(own, entries), parents({ 'base.vhdx': parent }));
    expect(image.virtualSize).toBe(SIZE);
  });

  test('when it is the disk itself', async () => {
    const self = differencing(own, { parent_linkage: await linkageOf(own), relative_path: 'self.vhdx' });
    await expect(openVhdx(self, parents({ 'self.vhdx': self }))).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('damage', () => {
  test('a block in parts without a bitmap is corrupt', async () => {
    const bytes = withBatEntry(child(PRESENT), BITMAP_ENTRY, 0);
    const image = await openVhdx(bytes, parents(files()));
    await expect(image.read(MIB, new Uint8Array(512))).rejects.toMatchObject({ code: 'corrupt' });
    expect(await vhdx.check?.(memorySource(bytes))).toMatchObject({ corruptions: 1 });
  });

  test('a bitmap behind the end of the file is truncation', async () => {
    const bytes = child(PRESENT).subarray(0, own.length);
    const image = await openVhdx(bytes, parents(files()));
    await expect(image.read(MIB, new Uint8Array(512))).rejects.toMatchObject({ code: 'truncated' });
    expect((await vhdx.examine(memorySource(bytes))).findings.map(({ code }) => code)).toContain('truncated');
    expect(await vhdx.check?.(memorySource(bytes))).toMatchObject({ corruptions: 1 });
  });

  test('a block in parts in a disk without a parent is corrupt', async () => {
    const bytes = withBatEntry(own, 1, entryOf(1, PARTLY));
    const image = await openVhdx(bytes);
    await expect(image.read(MIB, new Uint8Array(512))).rejects.toMatchObject({ code: 'corrupt' });
    expect(await vhdx.check?.(memorySource(bytes))).toMatchObject({ corruptions: 1 });
  });

  test.each([4, 5])('the reserved state %i is corrupt', async (state) => {
    const bytes = withBatEntry(own, 1, entryOf(1, state));
    const image = await openVhdx(bytes);
    await expect(image.read(MIB, new Uint8Array(512))).rejects.toMatchObject({ code: 'corrupt' });
    await expect(image.read(0, new Uint8Array(512))).resolves.toBeUndefined();
    expect(await vhdx.check?.(memorySource(bytes))).toMatchObject({ corruptions: 1 });
  });

  test.each([
    ['inside the header', 6n, 'corrupt'],
    ['behind the end of the file', (4000n << 20n) | 6n, 'truncated'],
    ['where no file reaches', (((1n << 44n) - 1n) << 20n) | 6n, 'truncated'],
  ] as const)('a block %s', async (_name, value, code) => {
    const bytes = withBatEntry(own, 1, value);
    const image = await openVhdx(bytes);
    await expect(image.read(MIB, new Uint8Array(512))).rejects.toMatchObject({ code });
    expect(await vhdx.check?.(memorySource(bytes))).toMatchObject({ corruptions: 1 });
  });

  test('two blocks in one place are found by check', async () => {
    const bytes = withBatEntry(own, 1, entryOf(2, 6));
    const report = await vhdx.check?.(memorySource(bytes));
    expect(report).toMatchObject({ corruptions: 1, findings: [{ code: 'overlapping-tables' }] });
  });

  test('stray entries for bitmaps in a disk without a parent, as older QEMU leaves them, hurt nobody', async () => {
    const large = await toVhdx(pattern(MIB, 3), { block_size: '1M' });
    const bytes = withBatEntry(large, BITMAP_ENTRY, u64(2)[0] ?? 2);
    expect(sameBytes(await readAll(await openVhdx(bytes)), pattern(MIB, 3))).toBe(true);
  });
});
