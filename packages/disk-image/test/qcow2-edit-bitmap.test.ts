import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { BitmapEditor, WritableImageFile } from '../src/index.ts';
import { readMetadata } from '../src/formats/qcow2/metadata.ts';
import { changeAndCut, context, editor, expectClean, guestOf } from './qcow2-edit-driver.ts';
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
    'merge',
    (file) => bitmaps().merge(file, 'a', 'b'),
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

/** The set bits of a bitmap, as the bytes of its clusters. */
async function bitsOf(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const { bitmaps: all, geometry } = await readMetadata(memorySource(bytes));
  const bitmap = all.find((candidate) => candidate.name === name);
  if (bitmap === undefined) throw new Error(`no bitmap ${name}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const bits = new Uint8Array(bitmap.tableSize * geometry.clusterSize);
  for (let index = 0; index < bitmap.tableSize; index++) {
    const offset = Number(view.getBigUint64(bitmap.tableOffset + index * 8));
    if (offset > 1) bits.set(bytes.subarray(offset, offset + geometry.clusterSize), index * geometry.clusterSize);
  }
  return bits;
}

test('a merge holds the bits of both, as one of qemu-img does', async () => {
  const file = await recordedFile(await recordedWrites());
  await bitmaps().merge(file, 'a', 'b');
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
    [
      'guest writes that would not be recorded',
      (file) => editor().openGuest?.(file, context) ?? Promise.resolve(),
      'unsupported',
    ],
    ['emptying', (file) => editor().empty?.(file) ?? Promise.resolve(), 'unsupported'],
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

test('a resized disk takes its bitmaps with it', async () => {
  const file = await recordedFile(await recordedWrites());
  for (const virtualSize of [2 ** 40, 2 ** 20, 8 * 2 ** 20]) {
    await editor().resize?.(file, { virtualSize, shrink: 'allow', preallocation: 'off' });
    await expectClean(peer, file.bytes());
    expect((await listed(file.bytes())).length).toBe(2);
  }
  expect((await guestOf(file.bytes()))[0]).toBe(1);
});
