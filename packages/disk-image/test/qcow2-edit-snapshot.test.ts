import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { readMetadata } from '../src/formats/qcow2/metadata.ts';
import { changeAndCut, editor, expectClean, guestOf, sameBytes } from './qcow2-edit-driver.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openBytes, openPeer, readAll } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const NOW = { dateSeconds: 1_700_000_000, dateNanoseconds: 5000 };
const NARROW = golden('4 KiB clusters');

function snapshots(): NonNullable<ReturnType<typeof editor>['snapshots']> {
  const found = editor().snapshots;
  if (found === undefined) throw new Error('qcow2 has snapshots');
  return found;
}

const create =
  (name: string) =>
  (file: WritableImageFile): Promise<unknown> =>
    snapshots().create(file, { name, ...NOW });

async function names(bytes: Uint8Array): Promise<readonly string[]> {
  const { info } = (await qcow2.examine(memorySource(bytes))) ?? {};
  return (info?.snapshots ?? []).map((snapshot) => snapshot.name);
}

async function peerChanges(bytes: Uint8Array, commands: readonly string[]): Promise<Uint8Array> {
  await peer.write('work.qcow2', bytes);
  await peer.io('work.qcow2', commands);
  return peer.read('work.qcow2');
}

/** A bitmap that records writes forbids going back. */
async function withoutBitmaps(bytes: Uint8Array): Promise<Uint8Array> {
  const { bitmaps } = await readMetadata(memorySource(bytes));
  const file = await recordedFile(bytes);
  for (const { name } of bitmaps) await editor().bitmaps?.remove(file, name);
  return file.bytes();
}

describe('create, write on, go back, delete', () => {
  const recipes = GOLDENS.filter((recipe) => recipe !== NARROW);
  test.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const start = await withoutBitmaps(await makeGolden(peer, recipe));
    const old = await guestOf(start);
    const had = await names(start);
    const first = await recordedFile(start);
    const id = await snapshots().create(first, { name: 'ours', ...NOW });
    await expectClean(peer, first.bytes());
    expect(await names(first.bytes())).toEqual([...had, 'ours']);
    await peer.write('listed.qcow2', first.bytes());
    expect(await peer.img(['snapshot', '-l', 'listed.qcow2'])).toContain('ours');

    const written = recipe.sizeBytes === 0 ? first.bytes() : await peerChanges(first.bytes(), ['write -P 77 3k 70k']);
    const file = await recordedFile(written);
    const saved = await openBytes(file.bytes(), { snapshot: id });
    expect(sameBytes(await readAll(saved), old)).toBe(true);
    await snapshots().create(file, { name: 'latest', ...NOW });
    await expectClean(peer, file.bytes());
    const current = await guestOf(written);
    if (!had.includes('first')) {
      await snapshots().apply(file, id);
      await expectClean(peer, file.bytes());
      expect(sameBytes(await guestOf(file.bytes()), old)).toBe(true);
    }
    await snapshots().apply(file, 'latest');
    await expectClean(peer, file.bytes());
    expect(sameBytes(await guestOf(file.bytes()), current)).toBe(true);
    for (const name of ['latest', id, ...had]) {
      await snapshots().delete(file, name);
      await expectClean(peer, file.bytes());
    }
    expect(await names(file.bytes())).toEqual([]);
    expect(sameBytes(await guestOf(file.bytes()), current)).toBe(true);
  });
});

describe('a cut at any write', () => {
  const recipes = ['version 3', 'version 2', '512 byte clusters', 'extended L2', 'zlib'].map(golden);
  test.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const start = await makeGolden(peer, recipe);
    const created = await changeAndCut(peer, start, create('one'));
    const written = await peerChanges(created.bytes(), ['write -P 77 3k 70k']);
    const again = await changeAndCut(peer, written, create('two'));
    const applied = await changeAndCut(peer, again.bytes(), (file) => snapshots().apply(file, 'one'));
    const deleted = await changeAndCut(peer, applied.bytes(), (file) => snapshots().delete(file, 'one'));
    const last = await changeAndCut(peer, deleted.bytes(), (file) => snapshots().delete(file, 'two'));
    expect(await names(last.bytes())).toEqual([]);
  });
});

test('a snapshot of another size brings its size back', async () => {
  const start = await makeGolden(peer, golden('snapshots and a bitmap'));
  const file = await recordedFile(start);
  await editor().resize?.(file, { virtualSize: 2 ** 20, shrink: 'allow', preallocation: 'off' });
  await editor().bitmaps?.disable(file, 'dirty0');
  await snapshots().apply(file, 'second');
  await expectClean(peer, file.bytes());
  expect(sameBytes(await guestOf(file.bytes()), await guestOf(start))).toBe(true);
});

test('refcounts of one bit cannot count a snapshot, and nothing is changed', async () => {
  const start = await makeGolden(peer, NARROW);
  const file = await recordedFile(start);
  await expect(create('x')(file)).rejects.toMatchObject({ code: 'unsupported' });
  expect(file.bytes()).toEqual(start);
});

test.each(['apply', 'delete'] as const)('%s refuses a snapshot that is not there', async (action) => {
  const file = await recordedFile(await makeGolden(peer, golden('version 3')));
  await expect(snapshots()[action](file, 'nothing')).rejects.toMatchObject({ code: 'out_of_bounds' });
  expect(file.calls).toEqual([]);
});

test('qemu-img goes on with what we left', async () => {
  const file = await recordedFile(await makeGolden(peer, golden('version 3')));
  await create('a')(file);
  await create('b')(file);
  await peer.write('theirs.qcow2', file.bytes());
  await peer.io('theirs.qcow2', ['write -P 3 0 300k']);
  await peer.img(['snapshot', '-c', 'c', 'theirs.qcow2']);
  await peer.img(['snapshot', '-d', 'a', 'theirs.qcow2']);
  await peer.img(['snapshot', '-a', 'b', 'theirs.qcow2']);
  const bytes = await peer.read('theirs.qcow2');
  await expectClean(peer, bytes);
  expect(sameBytes(await guestOf(bytes), await guestOf(file.start))).toBe(true);
});
