/** Damaged and hostile files: only ImageErrors, in bounded time and memory. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { vhdx } from '../src/formats/vhdx/vhdx.ts';
import type { ByteSource } from '../src/index.ts';
import { denyReferences, ImageError, memorySource, portableCodecs as codecs } from '../src/index.ts';
import {
  differencing,
  FILE_PARAMETERS_ITEM,
  HEADER,
  HEADERS,
  itemAt,
  logEntry,
  MIB,
  pattern,
  REGION_TABLE,
  REGION_TABLES,
  regionOffset,
  resummed,
  toVhdx,
  u64,
  withBatEntry,
  withLog,
} from './vhdx-driver.ts';

const LINKAGE = '{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}';
const KNOWN = ['wrong_format', 'unsupported', 'corrupt', 'truncated', 'unsafe', 'out_of_bounds'];

let seeds: readonly Uint8Array<ArrayBuffer>[] = [];
let regions: readonly number[] = [];
beforeAll(async () => {
  const guest = pattern(3 * MIB, 1);
  guest.fill(0, MIB, 2 * MIB);
  const dynamic = await toVhdx(guest, { block_size: '1M' });
  const at = regionOffset(dynamic, 0);
  const updates = [
    { at, data: dynamic.slice(at, at + 4096) },
    { at: at + 65536, zeros: 4096 },
  ];
  const child = withBatEntry(withBatEntry(dynamic, 0, (5n << 20n) | 7n), 4096, (4n << 20n) | 6n);
  seeds = [
    dynamic,
    await toVhdx(guest, { subformat: 'fixed', block_size: '1M', logical_sector_size: '4096' }),
    withLog(dynamic, [
      [0, logEntry({ sequence: 3, tail: 0, updates })],
      [12288, logEntry({ sequence: 4, tail: 0, updates })],
    ]),
    differencing(child, { parent_linkage: LINKAGE, relative_path: 'base.vhdx' }),
  ];
  regions = [
    0,
    ...HEADERS,
    ...REGION_TABLES,
    MIB,
    2 * MIB,
    2 * MIB + 65536,
    2 * MIB + 524288,
    3 * MIB,
    3 * MIB + 32768,
  ];
});

/** Everything that reads an image; the codes of the errors that come out. Anything but an ImageError is thrown on. */
async function exercise(source: ByteSource): Promise<string[]> {
  const codes: string[] = [];
  const attempt = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      codes.push(error.code);
    }
  };
  await attempt(() => vhdx.examine(source));
  await attempt(async () => vhdx.check?.(source));
  await attempt(async () => {
    const image = await vhdx.open?.(source, { codecs, references: denyReferences });
    if (image === undefined) throw new Error('vhdx can be opened');
    const buffer = new Uint8Array(Math.min(image.virtualSize, 65536));
    for (const offset of [0, MIB, image.virtualSize - buffer.length]) await attempt(() => image.read(offset, buffer));
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      if (extent.length <= 0) throw new Error('an extent is empty');
    }
  });
  return codes;
}

const interesting = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 6n, 7n, 0xffffn, 0x100000n, 0x100006n, 0xfffff007n, 0xffffffffn, 1n << 40n, 1n << 52n),
  fc.constantFrom((1n << 53n) - 1n, (1n << 63n) - 1n, (1n << 64n) - 1n, (1n << 64n) - 6n),
  fc.bigInt({ min: 0n, max: 64n }).map((n) => n * 1048576n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const edit = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), region: fc.nat(), at: fc.nat(300), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('word' as const), region: fc.nat(), index: fc.nat(70), value: interesting }),
  fc.record({ kind: fc.constant('half' as const), region: fc.nat(), index: fc.nat(140), value: interesting }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
);

function edited(
  bytes: Uint8Array<ArrayBuffer>,
  change: typeof edit extends fc.Arbitrary<infer T> ? T : never,
): Uint8Array<ArrayBuffer> {
  if (change.kind === 'cut') return bytes.slice(0, change.at % (bytes.length + 1));
  const start = regions[change.region % regions.length] ?? 0;
  const view = new DataView(bytes.buffer);
  if (change.kind === 'flip') {
    const at = start + change.at;
    if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << change.bit);
  } else if (change.kind === 'word') {
    const at = start + change.index * 8;
    if (at + 8 <= bytes.length) view.setBigUint64(at, change.value, true);
  } else {
    const at = start + change.index * 4;
    if (at + 4 <= bytes.length) view.setUint32(at, Number(change.value & 0xffffffffn), true);
  }
  return bytes;
}

/** Checksums made right again, so that the damage gets past them. */
function repaired(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.length < MIB) return bytes;
  return resummed(resummed(bytes, HEADER, 0, []), REGION_TABLE, 0, []);
}

test('random damage gives ImageErrors and nothing else', async () => {
  const damage = fc.record({
    seed: fc.nat(3),
    edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
    checksums: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ seed, edits, checksums }) => {
      let bytes = (seeds[seed] ?? new Uint8Array()).slice();
      for (const change of edits) bytes = edited(bytes, change);
      if (checksums) bytes = repaired(bytes);
      for (const code of await exercise(memorySource(bytes))) expect(KNOWN).toContain(code);
    }),
    { numRuns: 700 },
  );
}, 300_000);

test('a file cut anywhere is refused, or what is left of it is true', async () => {
  for (const seed of seeds) {
    for (const start of regions) {
      for (const at of [start, start + 1, start + 100, start + 5000]) {
        for (const code of await exercise(memorySource(seed.subarray(0, at)))) expect(KNOWN).toContain(code);
      }
    }
  }
}, 120_000);

/** A copy of the dynamic disk. */
function dynamic(): Uint8Array<ArrayBuffer> {
  return (seeds[0] ?? new Uint8Array()).slice();
}

/** The dynamic disk with another value in a metadata item. */
function withItem(guid: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = dynamic();
  bytes.set(value, itemAt(bytes, guid));
  return bytes;
}

describe('hostile files', () => {
  const DISK_SIZE_ITEM = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
  const SECTOR_ITEM = '8141bf1d-a96f-4709-ba47-f233a8faab5f';
  const PHYSICAL_ITEM = 'cda348c7-445d-4471-9cc9-e9885251c556';
  const CASES: readonly (readonly [string, () => Uint8Array, string])[] = [
    ['a disk above 64 TiB', () => withItem(DISK_SIZE_ITEM, u64(2 ** 46 + 512)), 'corrupt'],
    ['a disk of 2^64 bytes', () => withItem(DISK_SIZE_ITEM, u64((1n << 64n) - 512n)), 'corrupt'],
    ['a disk that ends inside a sector', () => withItem(DISK_SIZE_ITEM, u64(MIB + 1)), 'corrupt'],
    ['a disk larger than its table', () => withItem(DISK_SIZE_ITEM, u64(2 ** 45)), 'corrupt'],
    ['blocks of 0 bytes', () => withItem(FILE_PARAMETERS_ITEM, u64(0)), 'corrupt'],
    ['blocks of 512 KiB', () => withItem(FILE_PARAMETERS_ITEM, u64(524288)), 'corrupt'],
    ['blocks of 512 MiB', () => withItem(FILE_PARAMETERS_ITEM, u64(2 ** 29)), 'corrupt'],
    ['blocks of 3 MiB', () => withItem(FILE_PARAMETERS_ITEM, u64(3 * MIB)), 'corrupt'],
    ['sectors of 1024 bytes', () => withItem(SECTOR_ITEM, u64(1024).subarray(0, 4)), 'corrupt'],
    ['physical sectors of 1 byte', () => withItem(PHYSICAL_ITEM, u64(1).subarray(0, 4)), 'corrupt'],
    ['equal sequence numbers', () => resummed(dynamic(), HEADER, 8, u64(5)), 'corrupt'],
    ['version 2', () => resummed(dynamic(), HEADER, 66, [2, 0]), 'unsupported'],
    ['2048 regions', () => resummed(dynamic(), REGION_TABLE, 8, [0, 8, 0, 0]), 'corrupt'],
    ['no region', () => resummed(dynamic(), REGION_TABLE, 8, [0, 0, 0, 0]), 'corrupt'],
    [
      'a region off the MiB grid',
      () => resummed(dynamic(), REGION_TABLE, 16 + 24, u64(MIB + 4096).subarray(0, 4)),
      'corrupt',
    ],
    ['a region over the log', () => resummed(dynamic(), HEADER, 72, u64(2 * MIB)), 'corrupt'],
    ['both regions in one place', () => resummed(dynamic(), REGION_TABLE, 16 + 32 + 16, u64(3 * MIB)), 'corrupt'],
    ['a region at 2^60', () => resummed(dynamic(), REGION_TABLE, 16 + 16, u64(1n << 60n)), 'corrupt'],
    ['a region behind the end', () => resummed(dynamic(), REGION_TABLE, 16 + 16, u64(2 ** 40)), 'truncated'],
    ['nothing but a signature', () => dynamic().subarray(0, 8), 'truncated'],
    ['nothing', () => new Uint8Array(), 'truncated'],
    ['other bytes', () => new Uint8Array(MIB), 'wrong_format'],
  ];
  test.each(CASES)('%s', async (_name, make, code) => {
    const opened = vhdx.open?.(memorySource(make()), { codecs, references: denyReferences });
    await expect(opened).rejects.toMatchObject({ name: 'ImageError', code });
  });

  test('metadata items out of place, twice, missing, or required and unknown', async () => {
    const table = regionOffset(dynamic(), 1);
    const patches: readonly (readonly [number, ArrayLike<number>, string])[] = [
      [table + 10, [0, 0], 'corrupt'],
      [table + 10, [0xff, 0xff], 'corrupt'],
      [table + 32 + 16, u64(0).subarray(0, 4), 'corrupt'],
      [table + 32 + 16, u64(2 * MIB).subarray(0, 4), 'corrupt'],
      [table + 32 + 20, u64(2 * MIB).subarray(0, 4), 'corrupt'],
      [table + 32 + 20, u64(7).subarray(0, 4), 'corrupt'],
      [table + 32, dynamic().subarray(table + 64, table + 80), 'corrupt'],
      [table, [0], 'corrupt'],
    ];
    for (const [at, patch, code] of patches) {
      const bytes = dynamic();
      bytes.set(patch, at);
      const opened = vhdx.open?.(memorySource(bytes), { codecs, references: denyReferences });
      await expect(opened).rejects.toMatchObject({ code });
    }
    const unknown = dynamic();
    const entry = table + 32 + 5 * 32;
    unknown.fill(7, entry, entry + 16);
    unknown.set([0, 0, 1, 0, 0, 0, 0, 0, 4], entry + 16);
    unknown[table + 10] = 6;
    const refused = vhdx.open?.(memorySource(unknown), { codecs, references: denyReferences });
    await expect(refused).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('07070707') });
    unknown[entry + 24] = 0;
    await expect(vhdx.open?.(memorySource(unknown), { codecs, references: denyReferences })).resolves.toBeDefined();
  });

  test('the largest disk in a file of holes is walked without holding its table', async () => {
    const source = hollowFile(dynamic());
    const before = process.memoryUsage().rss;
    const codes = await exercise(source);
    expect(codes).toEqual([]);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * MIB);
  }, 60_000);
});

/** A disk of 64 TiB in blocks of 1 MiB: its table of 513 MiB, and all else behind it, is zeros. */
function hollowFile(small: Uint8Array<ArrayBuffer>): ByteSource {
  const tableLength = 513 * MIB;
  const sized = small.slice();
  sized.set(u64(2 ** 46), itemAt(small, '2fa54224-cd1b-4876-b211-5dbed83bf4b8'));
  sized.fill(0, 3 * MIB);
  const head = resummed(sized, REGION_TABLE, 16 + 24, u64(tableLength).subarray(0, 4));
  return {
    size: 3 * MIB + tableLength,
    async read(offset, into) {
      into.fill(0);
      if (offset < head.length) into.set(head.subarray(offset, offset + into.length));
    },
    async close() {},
  };
}
