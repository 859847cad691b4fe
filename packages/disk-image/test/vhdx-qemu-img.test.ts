/** What we write, judged by qemu-img; what qemu-img and qemu-io write, read by us. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { vhdx } from '../src/formats/vhdx/vhdx.ts';
import type { DiskImage, Extent, GivenOptions } from '../src/index.ts';
import { convertInMemory, memorySource, portableCodecs as codecs } from '../src/index.ts';
import type { Peer } from './qcow2-peer.ts';
import { mixedGuest, noise, openPeer } from './qcow2-peer.ts';
import { HEADER, MIB, openVhdx, readAll, regionOffset, resummed, sameBytes, toVhdx, viewOf } from './vhdx-driver.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const CLEAN = { errors: 0, corruptions: 0, leaks: 0, equal: true, virtualSize: 0, readsBack: true, ownFindings: [] };

/** What qemu-img, our reader and our check say about guest bytes written with these options. */
async function judge(guest: Uint8Array, options: GivenOptions): Promise<unknown> {
  const file = await toVhdx(guest, options);
  await peer.write('guest.raw', guest);
  await peer.write('disk.vhdx', file);
  const report = JSON.parse(await peer.img(['check', '--output=json', 'disk.vhdx'], [2, 3])) as Record<string, number>;
  const info = JSON.parse(await peer.img(['info', '--output=json', 'disk.vhdx'])) as Record<string, number>;
  const compared = await peer.img(['compare', '-f', 'vhdx', '-F', 'raw', 'disk.vhdx', 'guest.raw'], [1]);
  const own = await vhdx.check?.(memorySource(file));
  const read = await readAll(await openVhdx(file));
  return {
    errors: report['check-errors'] ?? 0,
    corruptions: (report['corruptions'] ?? 0) + (own?.corruptions ?? 1),
    leaks: report['leaks'] ?? 0,
    equal: compared.includes('identical'),
    virtualSize: info['virtual-size'],
    readsBack: sameBytes(read.subarray(0, guest.length), guest),
    ownFindings: own?.findings,
  };
}

describe('qemu-img finds what was written clean and equal', () => {
  const options: GivenOptions[] = [
    {},
    { subformat: 'fixed' },
    { block_size: '1M' },
    { block_size: '2M', subformat: 'fixed' },
    { block_size: '32M', log_size: '4M' },
    { block_size: '256M' },
    { block_state_zero: 'off' },
    { block_size: '1M', block_state_zero: 'off', subformat: 'fixed' },
  ];
  test.each(options.map((given) => [JSON.stringify(given), given] as const))('%s', async (_name, given) => {
    const guest = mixedGuest(5 * MIB + 1024);
    expect(await judge(guest, given)).toEqual({ ...CLEAN, virtualSize: guest.length });
  });

  test.each([512, 1536, MIB - 512, MIB, MIB + 512, 16 * MIB])('a disk of %i bytes', async (size) => {
    for (const given of [{}, { block_size: '1M' }, { block_size: '1M', subformat: 'fixed' }]) {
      expect(await judge(mixedGuest(size), given)).toEqual({ ...CLEAN, virtualSize: size });
    }
  });

  test('a disk that ends inside a sector is rounded up to the next', async () => {
    expect(await judge(mixedGuest(100_001), {})).toMatchObject({ equal: true, virtualSize: 100_352, readsBack: true });
  });
});

/** A disk of any size with a few pieces of data. */
function sparseDisk(virtualSize: number, pieces: ReadonlyMap<number, Uint8Array>): DiskImage {
  const starts = [...pieces.keys()].sort((a, b) => a - b);
  async function* extents(range: { offset: number; length: number }): AsyncGenerator<Extent> {
    const end = range.offset + range.length;
    let position = range.offset;
    for (const start of starts) {
      const stop = Math.min(end, start + (pieces.get(start)?.length ?? 0));
      if (stop <= position || start >= end) continue;
      if (start > position) yield { offset: position, length: start - position, state: 'zero', compressed: false };
      const from = Math.max(start, position);
      yield { offset: from, length: stop - from, state: 'data', compressed: false };
      position = stop;
    }
    if (position < end) yield { offset: position, length: end - position, state: 'zero', compressed: false };
  }
  return {
    info: {
      format: 'raw',
      virtualSize,
      references: [],
      dirty: false,
      corrupt: false,
      snapshots: [],
      details: {},
    },
    virtualSize,
    extents,
    async read(offset, into) {
      into.fill(0);
      for (const [start, bytes] of pieces) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + into.length, start + bytes.length);
        if (to > from) into.set(bytes.subarray(from - start, to - start), from - offset);
      }
    },
    async close() {},
  };
}

describe('large disks with little in them', () => {
  const SIZES = [
    ['5 GiB', 5 * 2 ** 30 + 512, {}],
    ['5 GiB in small blocks', 5 * 2 ** 30 + 512, { block_size: '1M' }],
    ['3 TiB', 3 * 2 ** 40, {}],
    ['3 TiB, absent blocks', 3 * 2 ** 40, { block_state_zero: 'off', block_size: '1M' }],
  ] as const;
  test.each(SIZES)(
    '%s',
    async (_name, size, options) => {
      const pieces = new Map([
        [0, noise(70_000, 1)],
        [2 ** 32 - 4096, noise(8192, 2)],
        [size - 1024, noise(1024, 3)],
      ]);
      const source = sparseDisk(size, pieces);
      const { files } = await convertInMemory({ source, target: vhdx, options, codecs, fileName: 'disk.vhdx' });
      const file = files.get('disk.vhdx') ?? new Uint8Array();
      await peer.write('large.vhdx', file);
      const checked = await peer.img(['check', 'large.vhdx']);
      expect(checked).toContain('No errors');
      for (const [start, bytes] of pieces) {
        const count = bytes.length / 512;
        const arguments_ = [
          'dd',
          '-f',
          'vhdx',
          '-O',
          'raw',
          'bs=512',
          `skip=${start / 512}`,
          `count=${start / 512 + Math.ceil(count)}`,
        ];
        await peer.img([...arguments_, 'if=large.vhdx', 'of=piece.raw']);
        const piece = await peer.read('piece.raw');
        expect(sameBytes(piece.subarray(0, bytes.length), bytes)).toBe(true);
      }
    },
    120_000,
  );
});

describe('what qemu-img writes is read', () => {
  const OPTIONS = [
    '',
    'block_size=1M',
    'block_size=256M',
    'subformat=fixed,block_size=1M',
    'log_size=2M,block_size=4M',
    'block_state_zero=off,block_size=1M',
  ];
  test.each(OPTIONS)('%s', async (options) => {
    const guest = mixedGuest(9 * MIB + 512);
    await peer.write('guest.raw', guest);
    const extra = options === '' ? [] : ['-o', options];
    await peer.img(['convert', '-f', 'raw', '-O', 'vhdx', ...extra, 'guest.raw', 'theirs.vhdx']);
    const file = await peer.read('theirs.vhdx');
    expect(sameBytes(await readAll(await openVhdx(file), 70_001), guest)).toBe(true);
    expect(await vhdx.check?.(memorySource(file))).toMatchObject({ corruptions: 0, leaks: 0 });
    const { info, findings } = await vhdx.examine(memorySource(file));
    expect(findings).toEqual([]);
    expect(info.virtualSize).toBe(guest.length);
  });

  test('random writes of qemu-io read as the same writes to a byte array', async () => {
    const SIZE = 24 * MIB;
    const write = fc.record({
      at: fc.nat(SIZE / 512 - 1),
      sectors: fc.integer({ min: 1, max: 5000 }),
      fill: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 12 }), async (writes) => {
        await peer.img(['create', '-q', '-f', 'vhdx', '-o', 'block_size=2M', 'random.vhdx', `${SIZE}`]);
        const guest = new Uint8Array(SIZE);
        const commands = writes.map(({ at, sectors, fill }) => {
          const length = Math.min(sectors * 512, SIZE - at * 512);
          guest.fill(fill, at * 512, at * 512 + length);
          return `write -P ${fill} ${at * 512} ${length}`;
        });
        await peer.io('random.vhdx', commands);
        expect(sameBytes(await readAll(await openVhdx(await peer.read('random.vhdx'))), guest)).toBe(true);
      }),
      { numRuns: 15 },
    );
  }, 120_000);
});

test('a log of QEMU that was not applied is replayed as qemu-img replays it', async () => {
  await peer.img(['create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', 'log.vhdx', `${20 * MIB}`]);
  const before = await peer.read('log.vhdx');
  await peer.io('log.vhdx', ['write -P 5 1M 3k', 'write -P 6 5M 1k', 'write -P 7 12M 2M']);
  const after = await peer.read('log.vhdx');
  const guest = await readAll(await openVhdx(after));
  // Each of QEMU's entries has a log identifier of its own, and the whole first sector of the table.
  const log = viewOf(after).getUint32(65536 + 72, true);
  let last = log;
  while (viewOf(after).getUint32(last + 8192, true) === viewOf(after).getUint32(log, true)) last += 8192;
  const guid = after.slice(last + 32, last + 48);
  const dirty = resummed(after, HEADER, 48, guid);
  const table = regionOffset(after, 0);
  dirty.set(before.subarray(table, table + 4096), table);
  await peer.write('dirty.vhdx', dirty);
  await expect(peer.img(['compare', '-f', 'vhdx', '-F', 'vhdx', 'dirty.vhdx', 'log.vhdx'])).rejects.toThrow(/log/);

  const image = await openVhdx(dirty);
  expect(image.info.dirty).toBe(true);
  expect(sameBytes(await readAll(image), guest)).toBe(true);

  await peer.img(['check', '-r', 'all', 'dirty.vhdx']);
  expect(await peer.img(['compare', 'dirty.vhdx', 'log.vhdx'])).toContain('identical');
  const repaired = await openVhdx(await peer.read('dirty.vhdx'));
  expect(repaired.info.dirty).toBe(false);
  expect(sameBytes(await readAll(repaired), guest)).toBe(true);
});

test('blocks get the size that qemu-img gives them', async () => {
  const GIB = 2 ** 30;
  for (const size of [GIB, GIB + MIB, 100 * GIB, 101 * GIB, 32 * 1024 * GIB, 33 * 1024 * GIB]) {
    await peer.img(['create', '-q', '-f', 'vhdx', 'sized.vhdx', `${size}`]);
    const info = JSON.parse(await peer.img(['info', '--output=json', 'sized.vhdx'])) as Record<string, number>;
    const layout = vhdx.writer?.layout({ virtualSize: size, options: {}, fileName: 'a', seed: new Uint8Array(16) });
    expect(layout?.parameters['blockSize']).toBe(info['cluster-size']);
  }
});
