import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GivenOptions, WritableImageFile } from '../src/index.ts';
import { changeAndCut, editor, expectClean, guestOf, sameBytes } from './qcow2-edit-driver.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const amend =
  (options: GivenOptions) =>
  (file: WritableImageFile): Promise<void> =>
    editor().amend?.(file, options) ?? Promise.reject();

async function specific(bytes: Uint8Array): Promise<Record<string, unknown>> {
  await peer.write('amended.qcow2', bytes);
  const info = JSON.parse(await peer.img(['info', '--output=json', 'amended.qcow2'])) as {
    'format-specific': { data: Record<string, unknown> };
  };
  return info['format-specific'].data;
}

describe('every refcount width becomes every other', () => {
  test.each(['512 byte clusters', '4 KiB clusters', 'version 3', '2 MiB clusters'])('%s', async (name) => {
    const start = await makeGolden(peer, golden(name));
    const before = await guestOf(start);
    const file = await recordedFile(start);
    for (const bits of [1, 64, 8, 2, 32, 4, 16]) {
      await amend({ refcount_bits: `${bits}` })(file);
      await expectClean(peer, file.bytes());
      expect((await specific(file.bytes()))['refcount-bits']).toBe(bits);
    }
    expect(sameBytes(await guestOf(file.bytes()), before)).toBe(true);
  });

  test('but not to one that cannot count what there is', async () => {
    const start = await makeGolden(peer, golden('snapshots and a bitmap'));
    const file = await recordedFile(start);
    await expect(amend({ refcount_bits: '1' })(file)).rejects.toMatchObject({ code: 'unsupported' });
    expect(sameBytes(file.bytes().subarray(0, start.length), start)).toBe(true);
  });
});

describe('compat', () => {
  const plain = GOLDENS.filter(({ name }) =>
    ['version 3', 'zlib', 'preallocated', 'odd size', 'empty disk'].includes(name),
  );
  test.each(plain.map((recipe) => [recipe.name, recipe] as const))('%s to 0.10 and back', async (_name, recipe) => {
    const start = await makeGolden(peer, recipe);
    const before = await guestOf(start);
    const down = await changeAndCut(peer, start, amend({ compat: '0.10' }));
    expect(await specific(down.bytes())).toMatchObject({ compat: '0.10' });
    const up = await changeAndCut(peer, down.bytes(), amend({ compat: '1.1', lazy_refcounts: 'on' }));
    expect(await specific(up.bytes())).toMatchObject({ compat: '1.1', 'lazy-refcounts': true });
    expect(sameBytes(await guestOf(up.bytes()), before)).toBe(true);
  });

  test('1.1 with snapshots of version 2', async () => {
    await makeGolden(peer, golden('version 2'));
    await peer.img(['snapshot', '-c', 'old', 'disk.qcow2']);
    const file = await changeAndCut(peer, await peer.read('disk.qcow2'), amend({ compat: '1.1' }));
    await peer.write('up.qcow2', file.bytes());
    expect(await peer.img(['snapshot', '-l', 'up.qcow2'])).toContain('old');
  });

  const refused = [
    ['extended L2', { compat: '0.10' }],
    ['zstd', { compat: '0.10' }],
    ['2 MiB clusters', { compat: '0.10' }],
    ['snapshots and a bitmap', { compat: '0.10' }],
    ['version 3', { compat: '0.10', lazy_refcounts: 'on' }],
    ['version 3', { cluster_size: '4k' }],
    ['version 3', { nonsense: '1' }],
  ] as const;
  test.each(refused)('%s refuses %o', async (name, options) => {
    const file = await recordedFile(await makeGolden(peer, golden(name)));
    await expect(amend(options)(file)).rejects.toMatchObject({ code: 'unsupported' });
    expect(file.calls).toEqual([]);
  });
});

test('zero clusters above a backing image become clusters of zeros', async () => {
  await peer.img(['create', '-q', '-f', 'qcow2', 'base.qcow2', '1M']);
  await peer.io('base.qcow2', ['write -P 9 0 1M']);
  await peer.img(['create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'top.qcow2']);
  await peer.io('top.qcow2', ['write -z 128k 128k', 'write -P 3 512k 64k']);
  await peer.img(['convert', '-O', 'raw', 'top.qcow2', 'before.raw']);
  const file = await recordedFile(await peer.read('top.qcow2'));
  await amend({ compat: '0.10' })(file);
  await peer.write('top.qcow2', file.bytes());
  expect(await peer.img(['compare', '-f', 'raw', 'before.raw', '-F', 'qcow2', 'top.qcow2'])).toContain('identical');
  await expectClean(peer, file.bytes());
});

test('a backing image is named, and another format alone', async () => {
  const file = await recordedFile(await makeGolden(peer, golden('version 3')));
  await amend({ backing_file: 'b.raw', backing_fmt: 'raw' })(file);
  await amend({ backing_fmt: 'qcow2' })(file);
  await peer.write('named.qcow2', file.bytes());
  const info = JSON.parse(await peer.img(['info', '--output=json', 'named.qcow2'])) as Record<string, unknown>;
  expect(info['backing-filename']).toBe('b.raw');
  expect(info['backing-filename-format']).toBe('qcow2');
});
