import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { RepairReport, RepairScope, WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { context, editor, expectClean, guestOf, sameBytes } from './qcow2-edit-driver.ts';
import { golden, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import { crashStates, recordedFile, seededRandom } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

async function repair(file: WritableImageFile, scope: RepairScope): Promise<RepairReport> {
  const report = await editor().repair?.(file, scope);
  if (report === undefined) throw new Error('qcow2 can be repaired');
  return report;
}

/** Sets refcounts (16 bits) of clusters in the first refcount block. */
function withRefcounts(bytes: Uint8Array, counts: Readonly<Record<number, number>>): Uint8Array {
  const damaged = bytes.slice();
  const view = new DataView(damaged.buffer);
  const block = Number(view.getBigUint64(Number(view.getBigUint64(48))));
  for (const [cluster, count] of Object.entries(counts)) view.setUint16(block + Number(cluster) * 2, count);
  return damaged;
}

describe('refcounts', () => {
  test('leaks are given back', async () => {
    const start = await makeGolden(peer, golden('version 3'));
    const last = start.length / 65536;
    const damaged = withRefcounts(start, { [last - 1]: 3, [last + 1]: 1 });
    const padded = new Uint8Array(start.length + 4 * 65536);
    padded.set(damaged);
    const file = await recordedFile(padded);
    const report = await repair(file, 'leaks');
    expect(report.before.leaks).toBe(2);
    expect(report).toMatchObject({ leaksFixed: 2, after: { corruptions: 0, leaks: 0 } });
    await expectClean(peer, file.bytes());
  });

  test('too low ones are corruption: left alone with leaks, mended with all', async () => {
    const start = await makeGolden(peer, golden('version 3'));
    const before = await guestOf(start);
    const last = start.length / 65536;
    const damaged = withRefcounts(start, { [last - 1]: 0, [last - 2]: 2 });
    const file = await recordedFile(damaged);
    expect((await repair(file, 'leaks')).after.corruptions).toBeGreaterThan(0);
    const report = await repair(file, 'all');
    expect(report.corruptionsFixed).toBeGreaterThan(0);
    await expectClean(peer, file.bytes());
    expect(sameBytes(await guestOf(file.bytes()), before)).toBe(true);
  });

  test('all refcounts lost', async () => {
    for (const name of ['version 3', '512 byte clusters', '4 KiB clusters', 'extended L2', 'snapshots and a bitmap']) {
      const start = await makeGolden(peer, golden(name));
      const before = await guestOf(start);
      const damaged = start.slice();
      const view = new DataView(damaged.buffer);
      const table = Number(view.getBigUint64(48));
      damaged.fill(0, table, table + 2 ** view.getUint32(20));
      const file = await recordedFile(damaged);
      await repair(file, 'all');
      await expectClean(peer, file.bytes());
      expect(sameBytes(await guestOf(file.bytes()), before)).toBe(true);
    }
  });

  test('a repair that is cut never makes it worse', async () => {
    const start = await makeGolden(peer, golden('version 3'));
    const last = start.length / 65536;
    const damaged = withRefcounts(start, { [last - 1]: 0, [last - 2]: 2 });
    const file = await recordedFile(damaged);
    const { before } = await repair(file, 'all');
    for await (const state of crashStates(file, 40, seededRandom(3))) {
      const report = await qcow2.check?.(memorySource(state.bytes));
      expect(report?.corruptions, state.label).toBeLessThanOrEqual(before.corruptions);
      expect(sameBytes(await guestOf(state.bytes), await guestOf(start))).toBe(true);
    }
  });
});

describe('marks', () => {
  const INCOMPATIBLE_AT = 79;
  test.each([
    ['dirty', 1],
    ['corrupt', 2],
  ] as const)('a mark of %s goes when nothing is wrong', async (_name, bit) => {
    const start = await makeGolden(peer, golden('version 3'));
    start[INCOMPATIBLE_AT] = bit;
    const file = await recordedFile(start);
    await repair(file, 'all');
    expect(file.bytes()[INCOMPATIBLE_AT]).toBe(0);
    await expectClean(peer, file.bytes());
  });

  test('a dirty image is repaired before it is changed', async () => {
    const start = await makeGolden(peer, golden('lazy refcounts'));
    start[INCOMPATIBLE_AT] = 1;
    const view = new DataView(start.buffer);
    const block = Number(view.getBigUint64(Number(view.getBigUint64(48))));
    start[block + start.length / 65536 - 1] = 0;
    const file = await recordedFile(start);
    const id = await editor().snapshots?.create(file, { name: 's', dateSeconds: 0, dateNanoseconds: 0 });
    expect(id).toBe('1');
    await expectClean(peer, file.bytes());
  });

  const refused = [
    ['marked as corrupt', INCOMPATIBLE_AT, 2, 'corrupt'],
    ['of an unknown incompatible feature', INCOMPATIBLE_AT, 0x80, 'unsupported'],
    ['encrypted', 35, 2, 'unsupported'],
  ] as const;
  test.each(refused)('an image %s is not changed', async (_name, at, value, code) => {
    const start = await makeGolden(peer, golden('version 3'));
    start[at] = value;
    const file = await recordedFile(start);
    const request = { virtualSize: 2 ** 23, shrink: 'refuse', preallocation: 'off' } as const;
    await expect(editor().resize?.(file, request)).rejects.toMatchObject({ code });
    await expect(editor().changeBacking?.(file, undefined)).rejects.toMatchObject({ code });
    expect(file.calls).toEqual([]);
  });

  test('an image with a corruption is not changed', async () => {
    const start = await makeGolden(peer, golden('version 3'));
    const file = await recordedFile(withRefcounts(start, { 1: 0 }));
    await expect(editor().empty?.(file)).rejects.toMatchObject({ code: 'corrupt' });
    expect(file.calls).toEqual([]);
  });

  test('autoclear bits that are not known are cleared by any change', async () => {
    const start = await makeGolden(peer, golden('version 3'));
    start[88] = 0x40;
    const file = await recordedFile(start);
    const writer = await editor().openGuest?.(file, context);
    expect(file.bytes()[88]).toBe(0);
    await writer?.finish();
    await expectClean(peer, file.bytes());
  });
});

test('a refcount table that grows beyond its cluster', async () => {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'grow.qcow2', '40M']);
  const file = await recordedFile(await peer.read('grow.qcow2'));
  await editor().resize?.(file, { virtualSize: 60 * 2 ** 20, shrink: 'refuse', preallocation: 'metadata' });
  await expectClean(peer, file.bytes());
  expect(new DataView(file.bytes().buffer).getUint32(56)).toBeGreaterThan(1);
});

test('a cluster without one allocated subcluster still belongs to its entry', async () => {
  const bytes = await makeGolden(peer, golden('extended L2'));
  const view = new DataView(bytes.buffer);
  const l2 = Number(view.getBigUint64(Number(view.getBigUint64(40))) & 0x00fffffffffffe00n);
  expect(view.getBigUint64(l2)).not.toBe(0n);
  view.setBigUint64(l2 + 8, 0n);
  await expectClean(peer, bytes);
});
