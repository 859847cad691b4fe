import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changeAndCut, editor, expectClean, guestOf } from './qcow2-edit-driver.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const MIB = 2 ** 20;
const SIZES = [0, 512, 2 * MIB + 1536, 3 * MIB + 512, 9 * MIB, 700 * MIB] as const;

describe('every kind of image takes every size', () => {
  test.each(GOLDENS.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const start = await makeGolden(peer, recipe);
    const before = await guestOf(start);
    for (const virtualSize of SIZES) {
      if (virtualSize > 600 * MIB && recipe.options.includes('512')) continue;
      const file = await recordedFile(start);
      const resized = editor().resize?.(file, { virtualSize, shrink: 'allow', preallocation: 'off' });
      if (virtualSize === 0 && recipe.name.includes('bitmap')) {
        await expect(resized, 'no bitmap fits an empty disk').rejects.toMatchObject({ code: 'unsupported' });
        continue;
      }
      await resized;
      await expectClean(peer, file.bytes());
      if (virtualSize > 600 * MIB) continue;
      const expected = new Uint8Array(virtualSize);
      expected.set(before.subarray(0, virtualSize));
      expect(Buffer.compare(await guestOf(file.bytes()), expected), `${virtualSize}`).toBe(0);
    }
  });
});

describe('a cut at any write leaves the old or the new disk', () => {
  const names = ['version 3', 'version 2', '512 byte clusters', 'extended L2', 'snapshots and a bitmap'];
  const recipes = names.map(golden);
  test.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const start = await makeGolden(peer, recipe);
    for (const virtualSize of [MIB + 512, 8 * MIB]) {
      const file = await changeAndCut(
        peer,
        start,
        (changed) =>
          editor().resize?.(changed, { virtualSize, shrink: 'allow', preallocation: 'off' }) ?? Promise.reject(),
      );
      expect((await guestOf(file.bytes())).length).toBe(virtualSize);
    }
  });
});

describe('preallocation', () => {
  test.each(['metadata', 'falloc', 'full'] as const)('%s', async (preallocation) => {
    for (const options of ['cluster_size=4k', 'cluster_size=64k,extended_l2=on', 'compat=0.10']) {
      await peer.img(['create', '-q', '-f', 'qcow2', '-o', options, 'pre.qcow2', '1M']);
      const start = await peer.read('pre.qcow2');
      const file = await changeAndCut(
        peer,
        start,
        (changed) =>
          editor().resize?.(changed, { virtualSize: 5 * MIB, shrink: 'refuse', preallocation }) ?? Promise.reject(),
      );
      await peer.write('pre.qcow2', file.bytes());
      const map = JSON.parse(await peer.img(['map', '--output=json', 'pre.qcow2'])) as readonly {
        start: number;
        length: number;
        data?: boolean;
        offset?: number;
      }[];
      const allocated = map.filter((part) => part.offset !== undefined).reduce((sum, part) => sum + part.length, 0);
      expect(allocated).toBe(4 * MIB);
    }
  });
});

test('what was cut off does not come back', async () => {
  await peer.img(['create', '-q', '-f', 'qcow2', 'tail.qcow2', '1M']);
  await peer.io('tail.qcow2', ['write -P 7 0 1M']);
  const file = await recordedFile(await peer.read('tail.qcow2'));
  await editor().resize?.(file, { virtualSize: 70_144, shrink: 'allow', preallocation: 'off' });
  await editor().resize?.(file, { virtualSize: MIB, shrink: 'allow', preallocation: 'off' });
  const guest = await guestOf(file.bytes());
  expect(guest.subarray(0, 70_144).every((byte) => byte === 7)).toBe(true);
  expect(guest.subarray(70_144).every((byte) => byte === 0)).toBe(true);
  await expectClean(peer, file.bytes());
});

async function makeOverlay(options: string): Promise<Uint8Array> {
  await peer.write('base.raw', new Uint8Array(4 * MIB).fill(9));
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', options, '-b', 'base.raw', '-F', 'raw', 'top.qcow2', '1M']);
  return peer.read('top.qcow2');
}

describe('a backing image that is longer than the old disk', () => {
  test('does not show through', async () => {
    const file = await recordedFile(await makeOverlay('compat=1.1'));
    await editor().resize?.(file, {
      virtualSize: 6 * MIB,
      shrink: 'refuse',
      preallocation: 'off',
      backingSize: 4 * MIB,
    });
    await peer.write('top.qcow2', file.bytes());
    await peer.img(['convert', '-O', 'raw', 'top.qcow2', 'top.raw']);
    const guest = await peer.read('top.raw');
    expect(guest.subarray(0, MIB).every((byte) => byte === 9)).toBe(true);
    expect(guest.subarray(MIB).every((byte) => byte === 0)).toBe(true);
    await expectClean(peer, file.bytes());
  });
  test('is refused in version 2, which cannot hide it', async () => {
    const file = await recordedFile(await makeOverlay('compat=0.10'));
    const request = { virtualSize: 6 * MIB, shrink: 'refuse', preallocation: 'off' } as const;
    await expect(editor().resize?.(file, request)).rejects.toMatchObject({ code: 'unsupported' });
    expect(file.calls).toEqual([]);
  });
});

describe('refused without a write', () => {
  const cases = [
    ['a size that is no multiple of 512', { virtualSize: 1000, shrink: 'allow', preallocation: 'off' }],
    ['a smaller size that was not asked for', { virtualSize: MIB, shrink: 'refuse', preallocation: 'off' }],
    ['a size that no L1 table reaches', { virtualSize: 2 ** 52, shrink: 'refuse', preallocation: 'off' }],
    ['preallocation when shrinking', { virtualSize: MIB, shrink: 'allow', preallocation: 'full' }],
  ] as const;
  test.each(cases)('%s', async (_name, request) => {
    await peer.img(['create', '-q', '-f', 'qcow2', 'small.qcow2', '2M']);
    const file = await recordedFile(await peer.read('small.qcow2'));
    await expect(editor().resize?.(file, request)).rejects.toMatchObject({ code: 'out_of_bounds' });
    expect(file.calls).toEqual([]);
  });
});
