import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { BitmapEditor, WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { bitsOf, rangesOf, withInUse } from './qcow2-bitmap-bits.ts';
import { changeAndCut, editor, expectClean, guestOf } from './qcow2-edit-driver.ts';
import { golden, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

function bitmaps(): BitmapEditor {
  const found = editor().bitmaps;
  if (found === undefined) throw new Error('qcow2 has bitmaps');
  return found;
}

interface ListedBitmap {
  readonly name: string;
  readonly granularity: number;
  readonly flags: readonly string[];
}

async function listed(bytes: Uint8Array): Promise<readonly ListedBitmap[]> {
  await peer.write('bitmaps.qcow2', bytes);
  const info = JSON.parse(await peer.img(['info', '--output=json', 'bitmaps.qcow2'])) as {
    'format-specific': { data: { bitmaps?: readonly ListedBitmap[] } };
  };
  return info['format-specific'].data.bitmaps ?? [];
}

/** An image whose bitmap `a` has seen a write, and `b` another. */
async function recordedWrites(): Promise<Uint8Array> {
  await peer.img(['create', '-q', '-f', 'qcow2', 'disk.qcow2', '8M']);
  await peer.img(['bitmap', '--add', 'disk.qcow2', 'a']);
  await peer.io('disk.qcow2', ['write -P 1 0 1M']);
  await peer.img(['bitmap', '--disable', 'disk.qcow2', 'a']);
  await peer.img(['bitmap', '--add', 'disk.qcow2', 'b']);
  await peer.io('disk.qcow2', ['write -P 1 4M 1M']);
  return peer.read('disk.qcow2');
}

const steps: readonly (readonly [
  string,
  (file: WritableImageFile) => Promise<void>,
  readonly (readonly [string, readonly string[]])[],
])[] = [
  [
    'add',
    (file) => bitmaps().add(file, { name: 'c', granularity: 4096, state: 'disabled' }),
    [
      ['a', []],
      ['b', ['auto']],
      ['c', []],
    ],
  ],
  [
    'enable',
    (file) => bitmaps().enable(file, 'a'),
    [
      ['a', ['auto']],
      ['b', ['auto']],
    ],
  ],
  [
    'disable',
    (file) => bitmaps().disable(file, 'b'),
    [
      ['a', []],
      ['b', []],
    ],
  ],
  [
    'clear',
    (file) => bitmaps().clear(file, 'a'),
    [
      ['a', []],
      ['b', ['auto']],
    ],
  ],
  ['remove', (file) => bitmaps().remove(file, 'a'), [['b', ['auto']]]],
  [
    'merge from another file',
    async (file) => bitmaps().merge(file, 'a', { name: 'b', source: memorySource(await recordedWrites()) }),
    [
      ['a', []],
      ['b', ['auto']],
    ],
  ],
  [
    'merge',
    (file) => bitmaps().merge(file, 'a', { name: 'b' }),
    [
      ['a', []],
      ['b', ['auto']],
    ],
  ],
];

test.each(steps)('%s, cut at any write', async (_name, change, expected) => {
  const file = await changeAndCut(peer, await recordedWrites(), change);
  const found = await listed(file.bytes());
  expect(found.map(({ name, flags }) => [name, flags])).toEqual(expected);
});

test('the last bitmap takes the extension with it', async () => {
  const file = await recordedFile(await recordedWrites());
  await bitmaps().remove(file, 'a');
  await bitmaps().remove(file, 'b');
  await expectClean(peer, file.bytes());
  expect(await listed(file.bytes())).toEqual([]);
});

async function otherSize(): Promise<Uint8Array> {
  await peer.img(['create', '-q', '-f', 'qcow2', 'other.qcow2', '4M']);
  await peer.img(['bitmap', '--add', 'other.qcow2', 'a']);
  return peer.read('other.qcow2');
}

test('a merge holds the bits of both, as one of qemu-img does', async () => {
  const file = await recordedFile(await recordedWrites());
  await bitmaps().merge(file, 'a', { name: 'b' });
  await expectClean(peer, file.bytes());
  await peer.img(['bitmap', '--merge', 'b', 'disk.qcow2', 'a']);
  const ours = await bitsOf(file.bytes(), 'a');
  expect(ours.some((byte) => byte !== 0)).toBe(true);
  expect(ours).toEqual(await bitsOf(await peer.read('disk.qcow2'), 'a'));
});

describe('refused without a write', () => {
  const add = { name: 'a', granularity: undefined, state: 'enabled' } as const;
  const cases: readonly (readonly [string, (file: WritableImageFile) => Promise<unknown>, string])[] = [
    ['a taken name', (file) => bitmaps().add(file, add), 'out_of_bounds'],
    ['an odd granularity', (file) => bitmaps().add(file, { ...add, name: 'x', granularity: 1000 }), 'out_of_bounds'],
    ['a name that is not there', (file) => bitmaps().clear(file, 'x'), 'out_of_bounds'],
    ['a merge from a name that is not there', (file) => bitmaps().merge(file, 'a', { name: 'x' }), 'out_of_bounds'],
    [
      'a merge from a disk of another size',
      async (file) => bitmaps().merge(file, 'a', { name: 'a', source: memorySource(await otherSize()) }),
      'out_of_bounds',
    ],
    [
      'copies from a disk of another size',
      async (file) => bitmaps().copy(file, memorySource(await otherSize()), ['a']),
      'out_of_bounds',
    ],
    [
      'a copy with a taken name',
      async (file) => bitmaps().copy(file, memorySource(await recordedWrites()), ['a']),
      'out_of_bounds',
    ],
  ];
  test.each(cases)('%s', async (_name, change, code) => {
    const file = await recordedFile(await recordedWrites());
    await expect(change(file)).rejects.toMatchObject({ code });
    expect(file.calls).toEqual([]);
  });
  test('bitmaps of version 2', async () => {
    const file = await recordedFile(await makeGolden(peer, golden('version 2')));
    await expect(bitmaps().add(file, add)).rejects.toMatchObject({ code: 'unsupported' });
  });
});

test.each([
  ['512', 4096],
  ['2M', 65536],
])('without a granularity, clusters of %s give bits of %i bytes', async (clusterSize, granularity) => {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${clusterSize}`, 'plain.qcow2', '8M']);
  const file = await recordedFile(await peer.read('plain.qcow2'));
  await bitmaps().add(file, { name: 'c', granularity: undefined, state: 'enabled' });
  expect(await listed(file.bytes())).toMatchObject([{ granularity }]);
});

test('a resized disk takes its bitmaps with it', async () => {
  const file = await recordedFile(await recordedWrites());
  for (const virtualSize of [2 ** 40, 2 ** 20, 8 * 2 ** 20]) {
    await editor().resize?.(file, { virtualSize, shrink: 'allow', preallocation: 'off' });
    await expectClean(peer, file.bytes());
    expect((await listed(file.bytes())).length).toBe(2);
  }
  expect((await guestOf(file.bytes()))[0]).toBe(1);
});

test('what a shorter disk cut off does not come back when it grows, as for qemu-img', async () => {
  const file = await recordedFile(await recordedWrites());
  for (const virtualSize of [4.5 * 2 ** 20, 8 * 2 ** 20]) {
    await editor().resize?.(file, { virtualSize, shrink: 'allow', preallocation: 'off' });
    await peer.img(['resize', '-q', '--shrink', 'disk.qcow2', String(virtualSize)]);
    await expectClean(peer, file.bytes());
    expect(await bitsOf(file.bytes(), 'b')).toEqual(await bitsOf(await peer.read('disk.qcow2'), 'b'));
  }
  expect(await rangesOf(file.bytes(), 'b')).toEqual([[4 * 2 ** 20, 4.5 * 2 ** 20]]);
});

/** Bits of every density, for each granularity, on a disk whose end is inside a granule. */
async function manyGranularities(clusterSize: string): Promise<Uint8Array> {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${clusterSize}`, 'many.qcow2', '5000704']);
  for (const granularity of GRANULARITIES) {
    await peer.img(['bitmap', '--add', '-g', granularity, 'many.qcow2', `g${granularity}`]);
  }
  await peer.io('many.qcow2', [
    'write 0 512',
    'write 70k 1M',
    'write 1500k 512',
    'write 1501k 512',
    'write 3M 700k',
    'write 5000192 512',
  ]);
  return peer.read('many.qcow2');
}

const GRANULARITIES = ['512', '4k', '64k', '1M', '8M'];

describe('merging between granularities, as qemu-img does', () => {
  test.each(['512', '4k', '64k'])('into clusters of %s', async (clusterSize) => {
    const source = await manyGranularities('64k');
    await peer.write('source.qcow2', source);
    for (const into of GRANULARITIES) {
      for (const from of GRANULARITIES) {
        await peer.img(['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${clusterSize}`, 'into.qcow2', '5000704']);
        await peer.img(['bitmap', '--add', '-g', into, 'into.qcow2', 'x']);
        await peer.io('into.qcow2', ['write 2M 4k']);
        const file = await recordedFile(await peer.read('into.qcow2'));
        await bitmaps().merge(file, 'x', { name: `g${from}`, source: memorySource(source) });
        await peer.img(['bitmap', '--merge', `g${from}`, '-b', 'source.qcow2', '-F', 'qcow2', 'into.qcow2', 'x']);
        const expected = await bitsOf(await peer.read('into.qcow2'), 'x');
        expect({ into, from, bits: await bitsOf(file.bytes(), 'x') }).toEqual({ into, from, bits: expected });
        await expectClean(peer, file.bytes());
      }
    }
  });
});

describe('copying', () => {
  test.each(['512', '64k', '2M'])(
    'from clusters of 64 KiB to clusters of %s, cut at any write',
    async (clusterSize) => {
      const source = await manyGranularities('64k');
      await peer.img(['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${clusterSize}`, 'copy.qcow2', '5000704']);
      await peer.img(['bitmap', '--add', 'copy.qcow2', 'own']);
      const names = GRANULARITIES.map((granularity) => `g${granularity}`);
      const start = await peer.read('copy.qcow2');
      const file = await changeAndCut(peer, start, (copy) => bitmaps().copy(copy, memorySource(source), names), {
        effort: { samples: 20, peerSamples: 4 },
      });
      expect((await listed(file.bytes())).map(({ name }) => name)).toEqual(['own', ...names]);
      for (const name of names) expect(await rangesOf(file.bytes(), name)).toEqual(await rangesOf(source, name));
    },
  );

  test('a bitmap that was not saved correctly is refused', async () => {
    const source = await withInUse(await recordedWrites(), 'a');
    await peer.img(['create', '-q', '-f', 'qcow2', 'copy.qcow2', '8M']);
    const file = await recordedFile(await peer.read('copy.qcow2'));
    await expect(bitmaps().copy(file, memorySource(source), ['b', 'a'])).rejects.toMatchObject({ code: 'unsupported' });
    expect((await listed(file.bytes())).length).toBe(0);
  });
});

describe('bitmaps that were not saved correctly', () => {
  test('keep what the others do from being lost', async () => {
    const start = await withInUse(await recordedWrites(), 'a');
    const file = await recordedFile(start);
    await bitmaps().clear(file, 'b');
    expect(await listed(file.bytes())).toMatchObject([
      { name: 'a', flags: ['in-use'] },
      { name: 'b', flags: ['auto'] },
    ]);
    await bitmaps().remove(file, 'a');
    expect((await listed(file.bytes())).map(({ name }) => name)).toEqual(['b']);
    await expectClean(peer, file.bytes());
  });

  const refused: readonly (readonly [string, (file: WritableImageFile) => Promise<unknown>])[] = [
    ['clearing', (file) => bitmaps().clear(file, 'a')],
    ['merging from one', (file) => bitmaps().merge(file, 'b', { name: 'a' })],
    ['merging into one', (file) => bitmaps().merge(file, 'a', { name: 'b' })],
    ['resizing', (file) => resizeTo(file, 2 ** 20)],
  ];
  test.each(refused)('%s is refused without a write', async (_name, change) => {
    const file = await recordedFile(await withInUse(await recordedWrites(), 'a'));
    await expect(change(file)).rejects.toMatchObject({ code: 'unsupported' });
    expect(file.calls.filter((call) => call.kind === 'write' && call.offset === 0)).toEqual([]);
  });
});

async function resizeTo(file: WritableImageFile, virtualSize: number): Promise<void> {
  await editor().resize?.(file, { virtualSize, shrink: 'allow', preallocation: 'off' });
}

test('outdated bitmaps give way to a new one, and their clusters are left alone', async () => {
  const start = await recordedWrites();
  new DataView(start.buffer, start.byteOffset).setBigUint64(AUTOCLEAR_AT, 0n);
  const file = await recordedFile(start);
  await bitmaps().add(file, { name: 'c', granularity: undefined, state: 'enabled' });
  expect((await listed(file.bytes())).map(({ name }) => name)).toEqual(['c']);
  expect((await qcow2.check?.(memorySource(file.bytes())))?.corruptions).toBe(0);
});

const AUTOCLEAR_AT = 88;
