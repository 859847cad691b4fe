/** Logs built by hand after [MS-VHDX] 2.3, replayed in memory, and judged by qemu-img where it replays them too. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logOverlay } from '../src/formats/vhdx/log-overlay.ts';
import { vhdx } from '../src/formats/vhdx/vhdx.ts';
import { memorySource } from '../src/index.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import type { TestUpdate } from './vhdx-driver.ts';
import {
  HEADER,
  itemAt,
  LOG_SECTOR,
  logEntry,
  MIB,
  openVhdx,
  pattern,
  readAll,
  regionOffset,
  resummed,
  sameBytes,
  toVhdx,
  u64,
  viewOf,
  withLog,
} from './vhdx-driver.ts';

const BLOCKS = 4;
const LOG_BYTES = MIB;
const DISK_SIZE_ITEM = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';

let peer: Peer;
let image: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  peer = await openPeer();
  image = await toVhdx(pattern(BLOCKS * MIB, 1), { block_size: '1M' });
});
afterAll(() => peer.close());

/** An update of the table of blocks, so that guest block i is what block `order[i]` was; -1 for zeros. */
function reordered(...order: readonly number[]): TestUpdate {
  const at = regionOffset(image, 0);
  const sector = image.slice(at, at + LOG_SECTOR);
  for (const [block, from] of order.entries()) {
    const entry = from < 0 ? u64(2) : image.subarray(at + from * 8, at + from * 8 + 8);
    sector.set(entry, block * 8);
  }
  return { at, data: sector };
}

/** The guest bytes of blocks in that order. */
function guestOf(...order: readonly number[]): Uint8Array {
  const guest = pattern(BLOCKS * MIB, 1);
  return Buffer.concat(
    order.map((from) => (from < 0 ? new Uint8Array(MIB) : guest.subarray(from * MIB, (from + 1) * MIB))),
  );
}

const entry = logEntry;
type Pieces = readonly (readonly [at: number, bytes: Uint8Array])[];

/** An entry that alone makes a sound log, changed by `more`. */
function one(more: object): Uint8Array<ArrayBuffer> {
  return logEntry({ sequence: 7, tail: 0, updates: [reordered(1, 0, 2, 3)], ...more });
}

/** Logs by what is true of them: the pieces of the ring, and the order of blocks that the guest then sees. */
const SOUND: readonly (readonly [string, () => Pieces, readonly number[]])[] = [
  ['one entry', () => [[0, entry({ sequence: 7, tail: 0, updates: [reordered(1, 0, 2, 3)] })]], [1, 0, 2, 3]],
  [
    'one entry anywhere in the ring',
    () => [[40960, entry({ sequence: 7, tail: 40960, updates: [reordered(1, 0, 2, 3)] })]],
    [1, 0, 2, 3],
  ],
  [
    'of two entries the later counts',
    () => [
      [0, entry({ sequence: 7, tail: 0, updates: [reordered(1, 0, 2, 3)] })],
      [8192, entry({ sequence: 8, tail: 0, updates: [reordered(3, 2, 1, 0)] })],
    ],
    [3, 2, 1, 0],
  ],
  [
    'entries before the tail have been applied before',
    () => [
      [0, entry({ sequence: 7, tail: 0, updates: [{ at: regionOffset(image, 0), zeros: LOG_SECTOR }] })],
      [4096, entry({ sequence: 8, tail: 4096, updates: [] })],
    ],
    [0, 1, 2, 3],
  ],
  [
    'a sequence that goes on at the beginning of the ring',
    () => [
      [LOG_BYTES - 8192, entry({ sequence: 7, tail: LOG_BYTES - 8192, updates: [reordered(1, 0, 2, 3)] })],
      [0, entry({ sequence: 8, tail: LOG_BYTES - 8192, updates: [reordered(2, 0, 2, 3)] })],
    ],
    [2, 0, 2, 3],
  ],
  [
    'an entry that lies across the end of the ring',
    () => [[LOG_BYTES - 4096, entry({ sequence: 7, tail: LOG_BYTES - 4096, updates: [reordered(1, 0, 2, 3)] })]],
    [1, 0, 2, 3],
  ],
  [
    'an older sequence elsewhere',
    () => [
      [0, entry({ sequence: 100, tail: 0, updates: [reordered(1, 0, 2, 3)] })],
      [65536, entry({ sequence: 50, tail: 65536, updates: [reordered(3, 3, 3, 3)] })],
    ],
    [1, 0, 2, 3],
  ],
  [
    'a torn entry at the end',
    () => {
      const torn = entry({ sequence: 8, tail: 0, updates: [reordered(3, 3, 3, 3)] });
      torn.fill(0, 6000);
      return [
        [0, entry({ sequence: 7, tail: 0, updates: [reordered(1, 0, 2, 3)] })],
        [8192, torn],
      ];
    },
    [1, 0, 2, 3],
  ],
  [
    'an entry of another log behind',
    () => [
      [0, entry({ sequence: 7, tail: 0, updates: [reordered(1, 0, 2, 3)] })],
      [
        8192,
        entry({
          sequence: 8,
          tail: 0,
          updates: [reordered(3, 3, 3, 3)],
          guid: '99999999-3333-4444-8555-666677778888',
        }),
      ],
    ],
    [1, 0, 2, 3],
  ],
  [
    'zeros, then data over them',
    () => [
      [
        0,
        entry({
          sequence: 2 ** 33 + 5,
          tail: 0,
          updates: [{ at: regionOffset(image, 0), zeros: 65536 }, reordered(1, 0, -1, 2)],
        }),
      ],
    ],
    [1, 0, -1, 2],
  ],
  [
    'zeros over data',
    () => [
      [
        0,
        entry({
          sequence: 7,
          tail: 0,
          updates: [reordered(1, 0, 2, 3), { at: regionOffset(image, 0), zeros: 8192 }],
        }),
      ],
    ],
    [-1, -1, -1, -1],
  ],
  [
    'more descriptors than the first sector holds',
    () => {
      const many = Array.from({ length: 200 }, () => ({ at: regionOffset(image, 0) + 65536, zeros: 4096 }));
      return [[0, entry({ sequence: 7, tail: 0, updates: [...many, reordered(1, 0, 2, 3)] })]];
    },
    [1, 0, 2, 3],
  ],
];

/**
 * QEMU 7.2 applies entries before the tail once more, which changes nothing in the logs that programs write, and refuses
 * entries of more than 126 descriptors.
 */
const PEER_DIFFERS: ReadonlySet<string> = new Set([
  'entries before the tail have been applied before',
  'more descriptors than the first sector holds',
]);

describe('a log is replayed', () => {
  test.each(SOUND)('%s', async (_name, pieces, order) => {
    const dirty = withLog(image, pieces());
    const opened = await openVhdx(dirty);
    expect(opened.info.dirty).toBe(true);
    expect(sameBytes(await readAll(opened), guestOf(...order))).toBe(true);
    const { findings } = await vhdx.examine(memorySource(dirty));
    expect(findings.map(({ code }) => code)).toEqual(['dirty']);
  });

  test.each(SOUND.filter(([name]) => !PEER_DIFFERS.has(name)))(
    'and qemu-img replays it alike: %s',
    async (_name, pieces, order) => {
      await peer.write('dirty.vhdx', withLog(image, pieces()));
      await peer.write('guest.raw', guestOf(...order));
      await peer.img(['check', '-q', '-r', 'all', 'dirty.vhdx']);
      expect(await peer.img(['compare', '-F', 'raw', 'dirty.vhdx', 'guest.raw'], [1])).toContain('identical');
    },
  );

  test('what stands in the metadata counts after the replay', async () => {
    const at = itemAt(image, DISK_SIZE_ITEM);
    const sectorAt = at - (at % LOG_SECTOR);
    const sector = image.slice(sectorAt, sectorAt + LOG_SECTOR);
    sector.set(u64(2 * MIB), at - sectorAt);
    const updates = [{ at: sectorAt, data: sector }];
    const opened = await openVhdx(withLog(image, [[0, logEntry({ sequence: 1, tail: 0, updates })]]));
    expect(opened.virtualSize).toBe(2 * MIB);
  });

  test('a block that the log puts behind the end of the file has what the log holds of it, and no more', async () => {
    const table = reordered(0, 1, 2, 3);
    const data = Uint8Array.from(table.data ?? []);
    data.set(u64((BigInt(image.length / MIB) << 20n) | 6n), 0);
    const updates = [
      { at: table.at, data },
      { at: image.length, data: pattern(LOG_SECTOR, 9) },
    ];
    const opened = await openVhdx(withLog(image, [[0, logEntry({ sequence: 1, tail: 0, updates })]]));
    const start = new Uint8Array(LOG_SECTOR);
    await expect(opened.read(0, new Uint8Array(LOG_SECTOR + 1))).rejects.toMatchObject({ code: 'truncated' });
    await expect(opened.read(0, start)).resolves.toBeUndefined();
    expect(sameBytes(start, pattern(LOG_SECTOR, 9))).toBe(true);
  });
});

describe('a log that cannot be replayed is refused', () => {
  const CASES: readonly (readonly [string, () => Uint8Array, string])[] = [
    ['empty', () => withLog(image, []), 'corrupt'],
    ['the only entry is torn', () => withLog(image, [[0, one({}).fill(0, 5000)]]), 'corrupt'],
    ['the tail is not in the sequence', () => withLog(image, [[0, one({ tail: 8192 })]]), 'corrupt'],
    ['sequence number 0', () => withLog(image, [[0, one({ sequence: 0 })]]), 'corrupt'],
    ['the file was longer', () => withLog(image, [[0, one({ flushed: image.length + 1 })]]), 'truncated'],
    [
      'a place that no file has',
      () => withLog(image, [[0, one({ updates: [{ at: 1n << 60n, data: pattern(4096, 1) }] })]]),
      'corrupt',
    ],
    [
      'a place between sectors',
      () => withLog(image, [[0, one({ updates: [{ at: 2 * MIB + 512, data: pattern(4096, 1) }] })]]),
      'corrupt',
    ],
    [
      'more updates than are accepted',
      () => withLog(image, [[0, one({ updates: Array.from({ length: 20_000 }, () => ({ at: 0, zeros: 4096 })) })]]),
      'unsafe',
    ],
    ['an unknown log version', () => resummed(withLog(image, [[0, one({})]]), HEADER, 64, [1]), 'unsupported'],
    ['a log of no bytes', () => resummed(withLog(image, [[0, one({})]]), HEADER, 68, [0, 0, 0, 0]), 'corrupt'],
    [
      'a log above the limit',
      () => {
        const dirty = resummed(withLog(image, [[0, one({})]]), HEADER, 68, [0, 0, 0, 2]);
        const long = new Uint8Array(40 * MIB);
        long.set(dirty);
        return long;
      },
      'unsafe',
    ],
    ['a log behind the end', () => resummed(withLog(image, [[0, one({})]]), HEADER, 72, u64(900 * MIB)), 'truncated'],
  ];
  test.each(CASES)('%s', async (_name, make, code) => {
    await expect(openVhdx(make())).rejects.toMatchObject({ name: 'ImageError', code });
    const { findings } = await vhdx.examine(memorySource(make()));
    expect(findings.some(({ severity }) => severity === 'unsafe')).toBe(true);
    await expect(vhdx.check?.(memorySource(make()))).rejects.toMatchObject({ code });
  });

  test('entries that lie over each other cost no more than a few times the log', async () => {
    const claim = one({});
    viewOf(claim).setUint32(8, LOG_BYTES, true);
    const dirty = withLog(
      image,
      Array.from({ length: 256 }, (_, i) => [i * LOG_SECTOR, claim.subarray(0, LOG_SECTOR)]),
    );
    await expect(openVhdx(dirty)).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/over each/),
    });
  });
});

test('an overlay of random updates reads as an array that they were written to', async () => {
  const SECTORS = 24;
  const update = fc.record({
    sector: fc.nat(SECTORS - 1),
    zeros: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
    fill: fc.integer({ min: 1, max: 255 }),
  });
  const range = fc.tuple(fc.nat(SECTORS * LOG_SECTOR), fc.nat(5 * LOG_SECTOR));
  await fc.assert(
    fc.asyncProperty(
      fc.array(update, { maxLength: 30 }),
      fc.array(range, { maxLength: 8 }),
      async (updates, ranges) => {
        const model = pattern(SECTORS * LOG_SECTOR, 3);
        const source = memorySource(model.slice());
        const entries = updates.map(({ sector, zeros, fill }) => {
          const at = sector * LOG_SECTOR;
          const length = zeros === undefined ? LOG_SECTOR : zeros * LOG_SECTOR;
          model.fill(zeros === undefined ? fill : 0, at, at + length);
          const data = zeros === undefined ? new Uint8Array(LOG_SECTOR).fill(fill) : undefined;
          return {
            at: 0,
            length: 0,
            tail: 0,
            sequenceNumber: 1n,
            flushedFileOffset: 0n,
            updates: [{ fileOffset: BigInt(at), length: BigInt(length), data }],
          };
        });
        const overlay = logOverlay(source, entries);
        for (const [offset, length] of [[0, model.length] as const, ...ranges]) {
          const read = new Uint8Array(Math.min(length, model.length - offset));
          await overlay.read(offset, read);
          expect(sameBytes(read, model.subarray(offset, offset + read.length))).toBe(true);
        }
      },
    ),
    { numRuns: 300 },
  );
});
